# SPDX-License-Identifier: MIT
# Decides whether this build has the CUDA executor. Sets LLEP_CUDA_FOUND, in the cache for
# scripts to read.

set(LLEP_CUDA_FOUND OFF CACHE INTERNAL "")
if(NOT LLEP_CUDA MATCHES "^(auto|on|off)$")
  message(FATAL_ERROR "LLEP_CUDA is '${LLEP_CUDA}'; it must be auto, on or off")
endif()

if(NOT LLEP_CUDA STREQUAL "off")
  # An unset or empty value would make CMake choose its own default when it enables the language.
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 90 CACHE STRING "GPU architectures, a list such as 80;90" FORCE)
  endif()
  if(NOT CMAKE_CUDA_COMPILER)
    unset(CMAKE_CUDA_COMPILER CACHE)  # an earlier check's NOTFOUND: look again
    find_program(LLEP_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda
      PATH_SUFFIXES bin)
    mark_as_advanced(LLEP_NVCC)
    if(LLEP_NVCC AND NOT DEFINED ENV{CUDACXX})
      set(ENV{CUDACXX} ${LLEP_NVCC})
    endif()
    include(CheckLanguage)
    check_language(CUDA)
  endif()
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    set(LLEP_CUDA_FOUND ON CACHE INTERNAL "")
  elseif(LLEP_CUDA STREQUAL "on")
    message(FATAL_ERROR "LLEP_CUDA=on, but there is no working nvcc. Name it with "
      "-DCMAKE_CUDA_COMPILER=/path/to/nvcc (and -DCMAKE_CUDA_HOST_COMPILER=/path/to/g++ if it "
      "refuses the default compiler), load the site's CUDA module, or build the host executor "
      "only with -DLLEP_CUDA=off")
  endif()
endif()

if(LLEP_CUDA_FOUND)
  message(STATUS "CUDA executor: yes (nvcc ${CMAKE_CUDA_COMPILER_VERSION}, "
    "architectures ${CMAKE_CUDA_ARCHITECTURES})")
else()
  message(STATUS "CUDA executor: no (LLEP_CUDA=${LLEP_CUDA}); host executor only")
endif()
