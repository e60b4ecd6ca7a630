# SPDX-License-Identifier: MIT
# Big headers of others, parsed once. Tests always use them; our own libraries only where
# LLEP_PRECOMPILE asks for it, as a source that forgets one of them would compile all the same.

option(LLEP_PRECOMPILE "Parse big headers once; a faster build that overlooks missing includes" OFF)
mark_as_advanced(LLEP_PRECOMPILE)

# llep_add_precompiled(name LIBRARIES target... [HEADERS <header>...]): what other targets get by
# llep_use_precompiled(target name), if they have the same flags and libraries.
function(llep_add_precompiled name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LIBRARIES;HEADERS")
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "")
  add_library(${name} OBJECT ${source})
  target_link_libraries(${name} PRIVATE llep_flags MPI::MPI_C PkgConfig::hwloc Threads::Threads
    fmt::fmt nlohmann_json::nlohmann_json ${arg_LIBRARIES})
  target_precompile_headers(${name} PRIVATE
    <algorithm> <chrono> <filesystem> <fstream> <functional> <map> <memory> <mutex> <optional>
    <random> <set> <string> <thread> <variant> <vector> <fmt/format.h> <nlohmann/json.hpp>
    ${arg_HEADERS})
endfunction()

function(llep_use_precompiled target name)
  target_precompile_headers(${target} REUSE_FROM ${name})
  # ccache's condition for keeping what was compiled so.
  target_compile_options(${target} PRIVATE
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-fpch-preprocess>)
endfunction()

if(LLEP_PRECOMPILE)
  llep_add_precompiled(llep_precompiled)
endif()
function(llep_precompile target)
  if(LLEP_PRECOMPILE)
    llep_use_precompiled(${target} llep_precompiled)
  endif()
endfunction()
