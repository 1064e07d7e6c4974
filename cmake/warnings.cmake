# Warnings are errors. Foreign headers come in as SYSTEM and do not count.
add_library(export_worker_warnings INTERFACE)
set(common -Wall -Wextra -Wpedantic -Werror
    -Wshadow               # a name that hides another is read wrongly
    -Wcast-align -Wcast-qual
    -Wformat=2
    -Wundef
    -Wconversion -Wsign-conversion)
set(cxx_only -Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast -Wextra-semi)
target_compile_options(export_worker_warnings INTERFACE
    ${common} "$<$<COMPILE_LANGUAGE:CXX>:${cxx_only}>")
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(export_worker_warnings INTERFACE -Wlogical-op -Wduplicated-cond
        # Both fire inside inlined std::string and std::variant code in g++ 12 at -O2 (GCC 105329, 105562).
        -Wno-restrict -Wno-maybe-uninitialized
        # Fires inside std::string once its header comes precompiled and has lost the mark of a system header.
        -Wno-stringop-overread)
endif()
