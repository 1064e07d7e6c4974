# Hardening for everything that is linked here. Sanitizer builds bring their own checks instead.
add_library(export_worker_hardening INTERFACE)
if(EXPORT_WORKER_SANITIZER STREQUAL "" AND NOT EXPORT_WORKER_COVERAGE)
    target_compile_options(export_worker_hardening INTERFACE
        -fstack-protector-strong -fstack-clash-protection -fcf-protection
        $<$<NOT:$<CONFIG:Debug>>:-U_FORTIFY_SOURCE$<SEMICOLON>-D_FORTIFY_SOURCE=2>)
    target_compile_definitions(export_worker_hardening INTERFACE _GLIBCXX_ASSERTIONS)
    if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
        get_target_property(flags export_worker_hardening INTERFACE_COMPILE_OPTIONS)
        list(REMOVE_ITEM flags -fcf-protection)
        set_target_properties(export_worker_hardening PROPERTIES INTERFACE_COMPILE_OPTIONS "${flags}")
    endif()
endif()
target_link_options(export_worker_hardening INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
