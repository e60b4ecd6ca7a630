#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Validates results files: validate_schema.py SCHEMA FILE...

Exit codes: 0 all are valid, 1 one is not (said where and why), 77 cannot tell (said why).
"""
import json
import pathlib
import re
import sys

try:
    import jsonschema
except ImportError as error:
    print(f"{error} (Debian: python3-jsonschema)")
    sys.exit(77)


def load_schema(path):
    """A schema, the $defs of files beside it that it refers to among its own."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    defs = {}
    for name in set(re.findall(r'"\$ref": "([^"#]+)#/\$defs/', text)):
        defs |= json.loads((pathlib.Path(path).parent / name).read_text(encoding="utf-8"))["$defs"]
        text = text.replace(f'"{name}#/$defs/', '"#/$defs/')
    schema = json.loads(text)
    schema["$defs"] = defs | schema.get("$defs", {})
    return schema


def main(schema_path, *paths):
    schema = load_schema(schema_path)
    if not hasattr(jsonschema, "Draft202012Validator"):
        print("jsonschema is too old for JSON Schema 2020-12")
        return 77
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    found = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
        for error in validator.iter_errors(document):
            found += 1
            where = "/".join(str(part) for part in error.absolute_path)
            print(f"{path}: at '{where}': {error.message}")
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
