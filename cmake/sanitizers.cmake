# One sanitizer per build tree: address (with undefined behaviour) or thread.
if(EXPORT_WORKER_SANITIZER STREQUAL "address")
    # -Wno-mismatched-new-delete: g++ 12 mistakes the coroutine frames of Asio for a mismatch once calls are instrumented.
    # -fno-sanitize=vptr: that check reads an object through pipe(), and takes every object for a wrong one once no descriptor is free.
    add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all -fno-omit-frame-pointer
        $<$<CXX_COMPILER_ID:GNU>:-Wno-mismatched-new-delete>)
    add_link_options(-fsanitize=address,undefined -fno-sanitize=vptr)
elseif(EXPORT_WORKER_SANITIZER STREQUAL "thread")
    # -Wno-tsan: g++ warns about std::atomic_thread_fence in Asio, which the sanitizer cannot model.
    # -Wno-array-bounds, -Wno-stringop-overflow: instrumented std::string code from a precompiled header, as -Wno-stringop-overread in warnings.cmake.
    add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -Wno-tsan -Wno-mismatched-new-delete -Wno-array-bounds
        -Wno-stringop-overflow)
    add_link_options(-fsanitize=thread)
elseif(NOT EXPORT_WORKER_SANITIZER STREQUAL "")
    message(FATAL_ERROR "EXPORT_WORKER_SANITIZER: expected address, thread or empty, found '${EXPORT_WORKER_SANITIZER}'")
endif()
if(NOT EXPORT_WORKER_SANITIZER STREQUAL "")
    # The runtimes bring libraries and reserve address space that the plugin host would otherwise refuse.
    add_compile_definitions(EXPORT_WORKER_SANITIZED=1)
endif()
