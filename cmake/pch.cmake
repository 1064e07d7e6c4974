# Precompiled headers: what most units include anyway, parsed once. They hold headers of the system only, so that a change
# of ours never makes them anew. A source still names what it uses: the target header_self_compile and clang-tidy build
# without them. -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON leaves them out.
set(EXPORT_WORKER_PCH_STANDARD <algorithm> <array> <atomic> <charconv> <chrono> <condition_variable> <cstdint> <functional>
    <map> <memory> <mutex> <optional> <span> <string> <string_view> <thread> <variant> <vector> <tl/expected.hpp>)
set(EXPORT_WORKER_PCH_JSON ${EXPORT_WORKER_PCH_STANDARD} <nlohmann/json.hpp>)

file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/pch.cpp CONTENT "// The source that the precompiled headers belong to.\n")
foreach(kind standard json)
    string(TOUPPER ${kind} upper)
    add_library(export_worker_pch_${kind} OBJECT ${CMAKE_BINARY_DIR}/pch.cpp)
    target_link_libraries(export_worker_pch_${kind} PRIVATE export_worker_warnings export_worker_hardening tl::expected
        nlohmann_json::nlohmann_json)
    target_precompile_headers(export_worker_pch_${kind} PRIVATE ${EXPORT_WORKER_PCH_${upper}})
endforeach()

# `links`: what the target links; decides which of the two it gets.
function(export_worker_precompile target links)
    if("nlohmann_json::nlohmann_json" IN_LIST links)
        target_precompile_headers(${target} REUSE_FROM export_worker_pch_json)
    else()
        target_precompile_headers(${target} REUSE_FROM export_worker_pch_standard)
    endif()
endfunction()
