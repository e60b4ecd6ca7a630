# SPDX-License-Identifier: MIT
# How tests are declared. Labels: unit, host, gpu, rdma, softmlx5 say what a test needs; threads
# (ranks as threads of one process) marks what ThreadSanitizer can see whole; long is run by hand.

find_package(GTest QUIET)
if(NOT GTest_FOUND)
  # Debian and Ubuntu's googletest package: sources only.
  set(gtest_sources /usr/src/googletest)
  if(NOT EXISTS ${gtest_sources}/CMakeLists.txt)
    message(FATAL_ERROR "GoogleTest is not installed: install it (libgtest-dev), point CMake at it "
      "with -DGTest_ROOT=PREFIX, or leave the tests out with -DLLEP_TESTS=off")
  endif()
  set(INSTALL_GTEST OFF CACHE BOOL "GoogleTest is not installed with llep")
  add_subdirectory(${gtest_sources} ${PROJECT_BINARY_DIR}/googletest EXCLUDE_FROM_ALL)
  if(NOT TARGET GTest::gtest_main)
    add_library(GTest::gtest ALIAS gtest)
    add_library(GTest::gtest_main ALIAS gtest_main)
  endif()
endif()
include(GoogleTest)

# Sanitizers slow the host executor's threads down about tenfold.
set(LLEP_TIMEOUT_FACTOR 1)
if(LLEP_SANITIZE)
  set(LLEP_TIMEOUT_FACTOR 4)
endif()

# What every test process sees. Open MPI 4 (OMPI_*) and 5 (PRTE_*): root, more ranks than cores,
# no binding of ranks to cores, and what is left of a run that failed goes at once. Their leaks are told from ours by whole stacks, which libraries
# without frame pointers give only to the slow unwinder.
set(LLEP_TEST_ENVIRONMENT
  OMPI_ALLOW_RUN_AS_ROOT=1
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  OMPI_MCA_rmaps_base_oversubscribe=1
  OMPI_MCA_hwloc_base_binding_policy=none
  OMPI_MCA_mpi_yield_when_idle=1
  PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
  PRTE_MCA_hwloc_default_binding_policy=none
  OMPI_MCA_odls_base_sigkill_timeout=0
  PRTE_MCA_odls_base_sigkill_timeout=0
  ASAN_OPTIONS=fast_unwind_on_malloc=0
  LSAN_OPTIONS=suppressions=${PROJECT_SOURCE_DIR}/tests/lsan.supp:print_suppressions=0
  UBSAN_OPTIONS=print_stacktrace=1
  TSAN_OPTIONS=second_deadlock_stack=1)
if(LLEP_SANITIZE)
  # Reading the names of all the world's PCI devices takes AddressSanitizer 14 s a run.
  list(APPEND LLEP_TEST_ENVIRONMENT HWLOC_COMPONENTS=-pci)
endif()

# What sanitizers need built: the tests labelled threads, those labelled host.
add_custom_target(llep_thread_tests)
add_custom_target(llep_host_tests)
add_dependencies(llep_host_tests llep)

# llep_add_test_program(name SOURCES file... [LIBRARIES target...]): a program of tests, with its own
# main unless GTest::gtest_main is named.
function(llep_add_test_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBRARIES")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBRARIES} GTest::gtest llep_flags)
  llep_precompile(${name})
endfunction()

# llep_add_test(name LABEL label... SOURCES file... [LIBRARIES target...] [TIMEOUT seconds]
#               [PROCESSORS n])
# A GoogleTest program; CTest knows each of its cases by name. A case that cannot run here ends in
# GTEST_SKIP() << reason and is reported as skipped.
function(llep_add_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT;PROCESSORS" "LABEL;SOURCES;LIBRARIES")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  if(NOT arg_PROCESSORS)
    set(arg_PROCESSORS 1)
  endif()
  math(EXPR timeout "${arg_TIMEOUT} * ${LLEP_TIMEOUT_FACTOR}")
  llep_add_test_program(${name} SOURCES ${arg_SOURCES}
    LIBRARIES ${arg_LIBRARIES} GTest::gtest_main)
  if("threads" IN_LIST arg_LABEL)
    add_dependencies(llep_thread_tests ${name})
  endif()
  if("host" IN_LIST arg_LABEL)
    add_dependencies(llep_host_tests ${name})
  endif()
  # PRE_TEST: a build never runs what it built (it may be for another machine).
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60 NO_PRETTY_VALUES
    TEST_PREFIX ${name}. TEST_LIST ${name}_cases
    PROPERTIES TIMEOUT ${timeout} PROCESSORS ${arg_PROCESSORS})
  # Properties that are lists do not survive the way through gtest_discover_tests.
  set(properties ${CMAKE_CURRENT_BINARY_DIR}/${name}_properties.cmake)
  file(CONFIGURE OUTPUT ${properties} @ONLY CONTENT [[
foreach(case IN LISTS @name@_cases)
  set_tests_properties(${case} PROPERTIES
    LABELS "@arg_LABEL@" ENVIRONMENT "@LLEP_TEST_ENVIRONMENT@")
endforeach()
]])
  set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${properties})
endfunction()

# llep_add_mpi_test(name RANKS n COMMAND program-or-target argument... [LABEL label...]
#                   [EXIT_CODE code] [TIMEOUT seconds])
# A program under mpirun; passes when mpirun ends with exactly that code (0). Code 77 skips.
function(llep_add_mpi_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "RANKS;EXIT_CODE;TIMEOUT" "COMMAND;LABEL")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 60)
  endif()
  if(NOT arg_LABEL)
    set(arg_LABEL host)
  endif()
  if(NOT arg_EXIT_CODE)
    set(arg_EXIT_CODE 0)
  endif()
  list(POP_FRONT arg_COMMAND program)
  if(TARGET ${program})
    add_dependencies(llep_host_tests ${program})
    set(program $<TARGET_FILE:${program}>)
  endif()
  math(EXPR timeout "${arg_TIMEOUT} * ${LLEP_TIMEOUT_FACTOR}")
  add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/tests/expect_exit.sh ${arg_EXIT_CODE}
    ${MPIEXEC_EXECUTABLE} ${MPIEXEC_NUMPROC_FLAG} ${arg_RANKS} ${program} ${arg_COMMAND})
  set_tests_properties(${name} PROPERTIES LABELS "${arg_LABEL}" TIMEOUT ${timeout}
    SKIP_RETURN_CODE 77 ENVIRONMENT "${LLEP_TEST_ENVIRONMENT}")
endfunction()
