# SPDX-License-Identifier: MIT
# The program itself, as processes under mpirun on the host executor.

# llep_add_program_test(name TIMEOUT seconds COMMAND program argument...)
function(llep_add_program_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "COMMAND")
  math(EXPR timeout "${arg_TIMEOUT} * ${LLEP_TIMEOUT_FACTOR}")
  add_test(NAME ${name} COMMAND ${arg_COMMAND})
  set_tests_properties(${name} PROPERTIES LABELS host TIMEOUT ${timeout} SKIP_RETURN_CODE 77
    ENVIRONMENT "${LLEP_TEST_ENVIRONMENT};MPIRUN=${MPIEXEC_EXECUTABLE}")
endfunction()

# Every day; and what the long tests add.
set(full_matrix 2 4)
set(reduced_matrix 1 3 5 7 8)
set(fifo_matrix 2 3 8)
set(hybrid_matrix 4)
set(long_matrix 1 3 8)
set(long_fifo_matrix 1 4 5 6 7)
set(long_hybrid_matrix 7)
set(cases
  schema stopped routings fresh_routing verbose default_place help_and_version
  dry_run sources
  corrupt_dispatch corrupt_combine misroute drop_dispatch drop_combine delay hang kill_rank
  fifo_drop fifo_stall fifo_full fifo_kill fifo_paths fifo_refused list
  bad_values bad_routings different_options unavailable no_room half_room unwritable)
set(measuring_cases modes fresh clocks overlap trials gates)
set(floors_cases floors pairs floors_file floors_config floors_measure)
if(LLEP_SANITIZE)
  # They see each process by itself, and few ranks show them all the code there is.
  set(full_matrix)
  set(reduced_matrix 2)
  set(fifo_matrix 3)
  set(hybrid_matrix 3)
  set(long_matrix)
  set(long_fifo_matrix)
  set(long_hybrid_matrix)
  set(cases schema stopped verbose corrupt_dispatch misroute drop_combine hang no_room fifo_full
    fifo_paths)
  set(measuring_cases fresh overlap)
  set(floors_cases floors_measure)
endif()
# llep_add_matrix_tests(name LABEL label RANKS n... [REDUCED --reduced] [OPTIONS argument...])
function(llep_add_matrix_tests name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "LABEL" "RANKS;REDUCED;OPTIONS")
  foreach(ranks IN LISTS arg_RANKS)
    set(options ${arg_OPTIONS})
    if(ranks GREATER 4)
      list(APPEND options --host-blocks 1)  # threads are many more than cores as it is
    endif()
    llep_add_program_test(${name}.${ranks} TIMEOUT 300
      COMMAND ${PROJECT_SOURCE_DIR}/tests/matrix.sh ${arg_REDUCED} $<TARGET_FILE:llep> ${ranks}
        --device host ${options})
    set_tests_properties(${name}.${ranks} PROPERTIES LABELS ${arg_LABEL})
    # Looking for leaks takes longer than such a run; other tests of the program look.
    set_property(TEST ${name}.${ranks} APPEND PROPERTY ENVIRONMENT
      ASAN_OPTIONS=fast_unwind_on_malloc=0:detect_leaks=0)
  endforeach()
endfunction()

set(over_fifo REDUCED --reduced OPTIONS
  --transport fifo --fifo-wire mpi --proxy-threads 2 --qps-per-peer 3)
set(over_hybrid REDUCED --reduced OPTIONS
  --transport hybrid-fifo --fifo-wire mpi --ranks-per-node 2 --fifo-depth 64)
llep_add_matrix_tests(matrix LABEL host RANKS ${full_matrix})
llep_add_matrix_tests(matrix_reduced LABEL host RANKS ${reduced_matrix} REDUCED --reduced)
llep_add_matrix_tests(matrix_fifo LABEL host RANKS ${fifo_matrix} ${over_fifo})
llep_add_matrix_tests(matrix_hybrid LABEL host RANKS ${hybrid_matrix} ${over_hybrid})
llep_add_matrix_tests(matrix LABEL long RANKS ${long_matrix})
llep_add_matrix_tests(matrix_fifo LABEL long RANKS ${long_fifo_matrix} ${over_fifo})
llep_add_matrix_tests(matrix_hybrid LABEL long RANKS ${long_hybrid_matrix} ${over_hybrid})

foreach(case IN LISTS cases)
  llep_add_program_test(program.${case} TIMEOUT 90
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> ${case})
endforeach()
foreach(group measuring floors)
  foreach(case IN LISTS ${group}_cases)
    llep_add_program_test(program.${case} TIMEOUT 90
      COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> ${case})
    set_property(TEST program.${case} APPEND PROPERTY
      ENVIRONMENT PROGRAM_CASES=${CMAKE_CURRENT_LIST_DIR}/${group}_cases.sh)
  endforeach()
endforeach()
llep_add_program_test(results.valid TIMEOUT 30
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> curated_results)
llep_add_program_test(results.described TIMEOUT 30
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> described)
llep_add_program_test(results.no_validator TIMEOUT 30
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> no_validator)
llep_add_program_test(config.quickstart TIMEOUT 90
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> config quickstart 2)
llep_add_program_test(config.reference TIMEOUT 180
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> config reference 4)
# Their sizes are a GPU's.
foreach(config ll_decode modes fp8 skew scaling)
  llep_add_program_test(config.${config} TIMEOUT 60
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> config ${config} 4
      --dry-run)
endforeach()

# What reads results files needs no ranks.
foreach(case IN ITEMS compare export_formats google_benchmark)
  llep_add_program_test(files.${case} TIMEOUT 60
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/files_test.sh $<TARGET_FILE:llep> ${case})
endforeach()
