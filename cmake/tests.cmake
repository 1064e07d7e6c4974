# The one way to declare a test.
#
#   export_worker_test(NAME KIND quick|slow COMMAND ... [SANITIZE] [SERIAL] [COST s] [TIMEOUT s] [PROCESSORS n]
#                      [ENVIRONMENT a=b ...] [WORKING_DIRECTORY dir])
#   export_worker_python_test(NAME KIND MODULE ... [FULL s] [POSTGRES quick|slow])    # the same, for a module under tests
#
# KIND      unit, tree, functional, fault, load or fuzz. `ctest -L functional` selects it.
# quick     part of the default run: `ctest -L quick`. slow: only scripts/test --all.
# SANITIZE  the test finds something under a sanitizer that it cannot find without one. A sanitizer tree has these tests
#           only; with EXPORT_WORKER_SANITIZE_ALL it has the others too, as slow ones.
# SERIAL    the test measures latency or takes all cores: nothing runs beside it.
# COST      seconds it takes on two cores; ctest starts the longest first.
# FULL      a second test NAME_full runs the module's full form (EXPORT_WORKER_FORM=full), is slow and costs so many seconds.
#           The test NAME runs the short form.
# POSTGRES  a second test NAME_postgres runs the short form with a PostgreSQL server behind the daemons (EXPORT_WORKER_DATABASE),
#           in the default run or with the slow tests, without a sanitizer: under those the unit tests run the same statements.
#
# A test that exits with 77 is a skipped one (tests/run_module.py, tests/unit/support/main.cpp).
option(EXPORT_WORKER_SANITIZE_ALL "In a sanitizer tree: every functional test, not only those labelled sanitize" OFF)

set(_export_worker_test_kinds unit tree functional fault load fuzz)

function(export_worker_test name kind run)
    cmake_parse_arguments(arg "SANITIZE;SERIAL" "COST;TIMEOUT;PROCESSORS;WORKING_DIRECTORY" "COMMAND;ENVIRONMENT" ${ARGN})
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "export_worker_test(${name}): unknown argument ${arg_UNPARSED_ARGUMENTS}")
    endif()
    if(NOT kind IN_LIST _export_worker_test_kinds)
        message(FATAL_ERROR "export_worker_test(${name}): expected a kind (${_export_worker_test_kinds}), found '${kind}'")
    endif()
    if(NOT run MATCHES "^(quick|slow)$")
        message(FATAL_ERROR "export_worker_test(${name}): expected quick or slow, found '${run}'")
    endif()
    if(NOT EXPORT_WORKER_SANITIZER STREQUAL "" AND NOT arg_SANITIZE)
        if(NOT EXPORT_WORKER_SANITIZE_ALL)
            return()
        endif()
        set(run slow)
    endif()
    set(labels ${run} ${kind})
    if(arg_SANITIZE)
        list(APPEND labels sanitize)
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 300)
    endif()
    if(arg_WORKING_DIRECTORY)
        list(PREPEND arg_COMMAND COMMAND)
        add_test(NAME ${name} ${arg_COMMAND} WORKING_DIRECTORY ${arg_WORKING_DIRECTORY})
    else()
        add_test(NAME ${name} COMMAND ${arg_COMMAND})
    endif()
    set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77)
    if(arg_ENVIRONMENT)
        set_tests_properties(${name} PROPERTIES ENVIRONMENT "${arg_ENVIRONMENT}")
    endif()
    if(arg_COST)
        set_tests_properties(${name} PROPERTIES COST ${arg_COST})
    endif()
    if(arg_PROCESSORS)
        set_tests_properties(${name} PROPERTIES PROCESSORS ${arg_PROCESSORS})
    endif()
    if(arg_SERIAL)
        set_tests_properties(${name} PROPERTIES RUN_SERIAL TRUE)
    endif()
endfunction()

# MODULE is below tests, such as functional.test_wire. The test is quick unless SLOW is given.
function(export_worker_python_test name kind module)
    cmake_parse_arguments(arg "SLOW;SANITIZE;SERIAL" "FULL;COST;TIMEOUT;PROCESSORS;POSTGRES" "" ${ARGN})
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "export_worker_python_test(${name}): unknown argument ${arg_UNPARSED_ARGUMENTS}")
    endif()
    set(common COMMAND ${EXPORT_WORKER_PYTHON} ${CMAKE_SOURCE_DIR}/tests/run_module.py ${module}
        WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/tests)
    foreach(flag IN ITEMS SANITIZE SERIAL)
        if(arg_${flag})
            list(APPEND common ${flag})
        endif()
    endforeach()
    if(arg_PROCESSORS)
        list(APPEND common PROCESSORS ${arg_PROCESSORS})
    endif()
    if(NOT arg_TIMEOUT)
        set(arg_TIMEOUT 600)
    endif()
    list(APPEND common TIMEOUT ${arg_TIMEOUT} ENVIRONMENT EXPORT_WORKER_BUILD=${CMAKE_BINARY_DIR}
        EXPORT_WORKER_SOURCE=${CMAKE_SOURCE_DIR} EXPORT_WORKER_SANITIZER=${EXPORT_WORKER_SANITIZER} PYTHONDONTWRITEBYTECODE=1)
    set(run quick)
    if(arg_SLOW)
        set(run slow)
    endif()
    if(NOT arg_COST)
        set(arg_COST 1)
    endif()
    export_worker_test(${name} ${kind} ${run} COST ${arg_COST} ${common} EXPORT_WORKER_FORM=short)
    if(arg_POSTGRES)
        set(with_postgres ${common})
        list(REMOVE_ITEM with_postgres SANITIZE)
        export_worker_test(${name}_postgres ${kind} ${arg_POSTGRES} COST ${arg_COST} ${with_postgres} EXPORT_WORKER_FORM=short
            EXPORT_WORKER_DATABASE=postgres)
        export_worker_test(${name}_pgbouncer ${kind} slow COST ${arg_COST} ${common} EXPORT_WORKER_FORM=short
            EXPORT_WORKER_DATABASE=pgbouncer)
    endif()
    if(arg_FULL AND (EXPORT_WORKER_SANITIZER STREQUAL "" OR EXPORT_WORKER_SANITIZE_ALL))
        export_worker_test(${name}_full ${kind} slow COST ${arg_FULL} ${common} EXPORT_WORKER_FORM=full)
    endif()
endfunction()
