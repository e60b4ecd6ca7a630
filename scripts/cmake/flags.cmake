# SPDX-License-Identifier: MIT
# llep_flags: language level, warnings, floating point and sanitizers of our own targets.

add_library(llep_flags INTERFACE)
target_compile_features(llep_flags INTERFACE cxx_std_20)
target_compile_definitions(llep_flags INTERFACE OMPI_SKIP_MPICXX MPICH_SKIP_MPICXX)
target_include_directories(llep_flags INTERFACE
  ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR}/generated)

# Designated initialisers name what is not default: leaving the rest out is their point.
set(warnings -Wall -Wextra -Wshadow -Wno-missing-field-initializers -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  list(APPEND warnings -Wno-restrict)  # false alarms on std::string: gcc bug 105651
endif()
# Both executors must compute the same bits: no fused multiply-add that the source does not spell
# out (-ffp-contract=off, and -fmad=false below).
target_compile_options(llep_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:${warnings};-Wconversion;-ffp-contract=off>
  $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CONFIG:Release>>:-g1>)

if(LLEP_CUDA_FOUND)
  list(JOIN warnings "," host_warnings)
  # The standard by its flag: CMake 3.25 knows no cuda_std_20 for nvcc. -Wconversion is left out:
  # nvcc's own host stubs do not pass it.
  target_compile_options(llep_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-fmad=false;--expt-relaxed-constexpr;-Werror=all-warnings>
    $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${host_warnings},-ffp-contract=off>
    $<$<AND:$<COMPILE_LANGUAGE:CUDA>,$<CONFIG:Release>>:-lineinfo>)
  # fmt 9 takes nvcc for a compiler without constexpr, and then fails in C++20.
  target_compile_definitions(llep_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CUDA>:FMT_USE_CONSTEXPR=1>)
endif()

if(LLEP_SANITIZE STREQUAL "address")
  set(sanitize -fsanitize=address,undefined -fno-sanitize-recover=all)
elseif(LLEP_SANITIZE STREQUAL "thread")
  set(sanitize -fsanitize=thread)
elseif(LLEP_SANITIZE)
  message(FATAL_ERROR "LLEP_SANITIZE is '${LLEP_SANITIZE}'; it must be empty, address or thread")
endif()
if(LLEP_SANITIZE)
  if(LLEP_CUDA_FOUND)
    message(FATAL_ERROR "LLEP_SANITIZE covers the host executor only: add -DLLEP_CUDA=off")
  endif()
  target_compile_options(llep_flags INTERFACE ${sanitize} -fno-omit-frame-pointer)
  target_link_options(llep_flags INTERFACE ${sanitize})
endif()
