# SPDX-License-Identifier: MIT
# The program itself, as processes under mpirun on the host executor.

# llep_add_program_test(name TIMEOUT seconds COMMAND program argument...)
function(llep_add_program_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "TIMEOUT" "COMMAND")
  math(EXPR timeout "${arg_TIMEOUT} * ${LLEP_TIMEOUT_FACTOR}")
  add_test(NAME ${name} COMMAND ${arg_COMMAND})
  set_tests_properties(${name} PROPERTIES LABELS host TIMEOUT ${timeout} PROCESSORS 2
    SKIP_RETURN_CODE 77
    ENVIRONMENT "${LLEP_TEST_ENVIRONMENT};MPIRUN=${MPIEXEC_EXECUTABLE}")
endfunction()

set(full_matrix 1 2 3 4 8)
set(reduced_matrix 5 7)
set(fifo_matrix 1 2 3 4 5 8)
set(hybrid_matrix 4 7)
set(cases
  schema verbose default_place help_and_version dry_run sources floors
  corrupt_dispatch corrupt_combine misroute drop_dispatch drop_combine delay hang kill_rank
  fifo_drop fifo_stall fifo_full fifo_kill fifo_paths fifo_refused list
  bad_values different_options unavailable no_room half_room unwritable)
if(LLEP_SANITIZE)
  # They see each process by itself, and few ranks show them all the code there is.
  set(full_matrix)
  set(reduced_matrix 2 3)
  set(fifo_matrix 3)
  set(hybrid_matrix 4)
  set(cases schema verbose corrupt_dispatch misroute drop_combine hang no_room fifo_full fifo_paths)
endif()
foreach(ranks IN LISTS full_matrix)
  llep_add_program_test(matrix.${ranks} TIMEOUT 300
    COMMAND ${PROJECT_SOURCE_DIR}/tests/matrix.sh $<TARGET_FILE:llep> ${ranks} --device host)
endforeach()
foreach(ranks IN LISTS reduced_matrix)
  llep_add_program_test(matrix.${ranks} TIMEOUT 180
    COMMAND ${PROJECT_SOURCE_DIR}/tests/matrix.sh --reduced $<TARGET_FILE:llep> ${ranks}
      --device host)
endforeach()

foreach(ranks IN LISTS fifo_matrix)
  llep_add_program_test(matrix_fifo.${ranks} TIMEOUT 240
    COMMAND ${PROJECT_SOURCE_DIR}/tests/matrix.sh --reduced $<TARGET_FILE:llep> ${ranks}
      --device host --transport fifo --fifo-wire mpi --proxy-threads 2 --qps-per-peer 3)
endforeach()
foreach(ranks IN LISTS hybrid_matrix)
  llep_add_program_test(matrix_hybrid.${ranks} TIMEOUT 240
    COMMAND ${PROJECT_SOURCE_DIR}/tests/matrix.sh --reduced $<TARGET_FILE:llep> ${ranks}
      --device host --transport hybrid-fifo --fifo-wire mpi --ranks-per-node 2 --fifo-depth 64)
endforeach()

foreach(case IN LISTS cases)
  llep_add_program_test(program.${case} TIMEOUT 90
    COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> ${case})
endforeach()
llep_add_program_test(config.quickstart TIMEOUT 90
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> config quickstart 2)
llep_add_program_test(config.reference TIMEOUT 180
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> config reference 4)
# Its sizes are a GPU's.
llep_add_program_test(config.ll_decode TIMEOUT 60
  COMMAND ${CMAKE_CURRENT_LIST_DIR}/program_test.sh $<TARGET_FILE:llep> config ll_decode 4
    --dry-run)
