# Language level, output folders, and the switches a person may set.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

# Line numbers and function names in a backtrace, without the description of every type: a third of the compile time.
# The preset `dev` has all of it.
string(REGEX REPLACE "-g( |$)" "-g1\\1" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")
string(REGEX REPLACE "-g( |$)" "-g1\\1" CMAKE_C_FLAGS_RELWITHDEBINFO "${CMAKE_C_FLAGS_RELWITHDEBINFO}")

if(NOT CMAKE_BUILD_TYPE)
    set(CMAKE_BUILD_TYPE RelWithDebInfo CACHE STRING "" FORCE)
endif()

option(EXPORT_WORKER_TESTS "Build the tests" ON)
option(EXPORT_WORKER_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(EXPORT_WORKER_BENCH "Build the benchmarks" OFF)
option(EXPORT_WORKER_COVERAGE "Instrument for gcov" OFF)
set(EXPORT_WORKER_SANITIZER "" CACHE STRING "address (with undefined), thread, or empty")

if(EXPORT_WORKER_COVERAGE)
    # Counters are shared by threads, and code of libraries has none: a file sent in pieces took 20 s of them. The macro tells
    # the plugin host what the runtime of gcov needs of a process.
    add_compile_options(--coverage -O0 -g1 -fprofile-update=atomic -fprofile-exclude-files=^/usr/)
    add_link_options(--coverage)
    add_compile_definitions(EXPORT_WORKER_COVERAGE=1)
endif()
