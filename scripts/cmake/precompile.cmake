# SPDX-License-Identifier: MIT
# llep_precompile(target): the big headers of others, parsed once for all targets. Only where
# LLEP_PRECOMPILE asks for it (the sanitizers' presets): a source that forgets one of them would
# compile all the same, and gcc 12 takes what it inlines from them for ours and warns.

option(LLEP_PRECOMPILE "Parse big headers once; a faster build that overlooks missing includes" OFF)
mark_as_advanced(LLEP_PRECOMPILE)

if(LLEP_PRECOMPILE)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/precompiled.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "")
  add_library(llep_precompiled OBJECT ${source})
  target_link_libraries(llep_precompiled PRIVATE
    llep_flags MPI::MPI_C PkgConfig::hwloc Threads::Threads fmt::fmt nlohmann_json::nlohmann_json)
  target_precompile_headers(llep_precompiled PRIVATE
    <algorithm> <chrono> <filesystem> <fstream> <functional> <map> <memory> <mutex> <optional>
    <random> <set> <string> <thread> <variant> <vector> <fmt/format.h> <nlohmann/json.hpp>)
endif()

function(llep_precompile target)
  if(LLEP_PRECOMPILE)
    target_precompile_headers(${target} REUSE_FROM llep_precompiled)
  endif()
endfunction()
