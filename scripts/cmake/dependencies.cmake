# SPDX-License-Identifier: MIT
# What the program links: MPI::MPI_C, PkgConfig::hwloc, fmt::fmt, nlohmann_json::nlohmann_json,
# CLI11::CLI11, Threads::Threads; PkgConfig::ibverbs where LLEP_VERBS_FOUND, PkgConfig::mlx5 where
# LLEP_MLX5_FOUND.

include(FetchContent)
find_package(Threads REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)
find_package(PkgConfig REQUIRED)
pkg_check_modules(hwloc REQUIRED IMPORTED_TARGET hwloc>=2.0)

set(LLEP_VERBS_FOUND OFF)
set(LLEP_MLX5_FOUND OFF)
if(NOT LLEP_VERBS MATCHES "^(auto|on|off)$")
  message(FATAL_ERROR "LLEP_VERBS is '${LLEP_VERBS}'; it must be auto, on or off")
endif()
if(NOT LLEP_VERBS STREQUAL "off")
  # 1.12: ibv_reg_dmabuf_mr (rdma-core 34).
  pkg_check_modules(ibverbs QUIET IMPORTED_TARGET libibverbs>=1.12)
  if(ibverbs_FOUND)
    set(LLEP_VERBS_FOUND ON)
  elseif(LLEP_VERBS STREQUAL "on")
    message(FATAL_ERROR "LLEP_VERBS=on, but pkg-config finds no libibverbs >= 1.12: install "
      "libibverbs-dev (rdma-core 34 or later), or build without RDMA verbs with -DLLEP_VERBS=off")
  endif()
endif()
if(LLEP_VERBS_FOUND)
  message(STATUS "RDMA verbs: yes (libibverbs ${ibverbs_VERSION})")
  # 1.12: thread domains' registers, completion queues of the form that transport/ibgda reads.
  pkg_check_modules(mlx5 QUIET IMPORTED_TARGET libmlx5>=1.12)
  if(mlx5_FOUND)
    set(LLEP_MLX5_FOUND ON)
  endif()
  message(STATUS "mlx5 adapters (ibgda): ${LLEP_MLX5_FOUND} (libmlx5 ${mlx5_VERSION})")
else()
  message(STATUS "RDMA verbs: no (LLEP_VERBS=${LLEP_VERBS})")
endif()

# The package `name` as installed, else (LLEP_FETCH_DEPS) its sources at `tag`.
function(llep_find_or_fetch name minimum repository tag)
  find_package(${name} ${minimum} QUIET)
  if(${name}_FOUND)
    message(STATUS "${name}: ${${name}_VERSION} at ${${name}_DIR}")
    return()
  endif()
  if(NOT LLEP_FETCH_DEPS)
    message(FATAL_ERROR "${name} >= ${minimum} is not installed. Install it (docs/building.md "
      "names the packages), point CMake at it with -D${name}_ROOT=PREFIX, or let CMake download "
      "it with -DLLEP_FETCH_DEPS=on")
  endif()
  message(STATUS "${name}: downloading ${tag} from ${repository}")
  # SYSTEM: our warnings are not theirs to pass.
  FetchContent_Declare(${name} GIT_REPOSITORY ${repository} GIT_TAG ${tag} GIT_SHALLOW ON SYSTEM)
  FetchContent_MakeAvailable(${name})
endfunction()

llep_find_or_fetch(fmt 9.1 https://github.com/fmtlib/fmt.git 9.1.0)
llep_find_or_fetch(nlohmann_json 3.11 https://github.com/nlohmann/json.git v3.11.3)
llep_find_or_fetch(CLI11 2.1 https://github.com/CLIUtils/CLI11.git v2.4.1)
