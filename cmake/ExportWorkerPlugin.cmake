# Building a plugin, inside this project and outside it.
#
#   find_package(ExportWorkerPlugin REQUIRED)        # after cmake --install, with CMAKE_PREFIX_PATH
#   include(.../cmake/ExportWorkerPlugin.cmake)      # from a source tree
#   export_worker_add_plugin(NAME SOURCES a.c b.cpp ...)
#
# makes NAME.so with everything the daemon asks of a file before it runs any of it:
#   one exported symbol (version script), nothing left undefined, a build-id, no unique symbols (they would be shared
#   between generations and pin the image), no executable stack, no text relocations, no library search path.

if(EXISTS ${CMAKE_CURRENT_LIST_DIR}/plugin.map)  # Installed: the script lies beside this file, the headers under include.
    set(EXPORT_WORKER_PLUGIN_MAP ${CMAKE_CURRENT_LIST_DIR}/plugin.map)
    get_filename_component(EXPORT_WORKER_PLUGIN_INCLUDE ${CMAKE_CURRENT_LIST_DIR}/../../../include/export-worker ABSOLUTE)
else()
    get_filename_component(EXPORT_WORKER_PLUGIN_INCLUDE ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
    set(EXPORT_WORKER_PLUGIN_MAP ${EXPORT_WORKER_PLUGIN_INCLUDE}/protocol/plugin_abi/plugin.map)
endif()

# The flags alone, for a MODULE target that exists.
function(export_worker_plugin_flags target)
    target_include_directories(${target} PRIVATE ${EXPORT_WORKER_PLUGIN_INCLUDE})
    target_compile_options(${target} PRIVATE -fvisibility=hidden $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
    target_link_options(${target} PRIVATE -Wl,--version-script=${EXPORT_WORKER_PLUGIN_MAP} -Wl,--build-id=sha1
        -Wl,--exclude-libs,ALL -Wl,--as-needed -Wl,-z,noexecstack -Wl,-z,text)
    set_target_properties(${target} PROPERTIES PREFIX "" SUFFIX ".so" POSITION_INDEPENDENT_CODE ON SKIP_BUILD_RPATH ON
        LINK_DEPENDS ${EXPORT_WORKER_PLUGIN_MAP})
    # The sanitizer runtimes leave symbols open on purpose.
    if(NOT EXPORT_WORKER_SANITIZER AND NOT CMAKE_C_FLAGS MATCHES "-fsanitize" AND NOT CMAKE_CXX_FLAGS MATCHES "-fsanitize")
        target_link_options(${target} PRIVATE -Wl,-z,defs)
    endif()
endfunction()

function(export_worker_add_plugin name)
    cmake_parse_arguments(arg "" "" "SOURCES" ${ARGN})
    add_library(${name} MODULE ${arg_SOURCES})
    export_worker_plugin_flags(${name})
endfunction()
