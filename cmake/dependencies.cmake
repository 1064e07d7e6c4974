# Every foreign library, found once. Folders name these targets under LINKS; the folder that may is
# listed in tests/layers/foreign_headers.json.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3.0 REQUIRED COMPONENTS Crypto)
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(nlohmann_json 3.11 REQUIRED)
find_package(spdlog REQUIRED)
find_package(fmt 9 REQUIRED)
find_package(tl-expected REQUIRED)
# Only the version comes from libzmq.pc: it names the include directories of its private dependencies, and a second
# configure would put them elsewhere on the command line and rebuild everything.
pkg_check_modules(ZMQ REQUIRED libzmq>=4.3.4)
find_library(EXPORT_WORKER_ZMQ_LIBRARY zmq REQUIRED)
add_library(export_worker_zmq INTERFACE)
target_link_libraries(export_worker_zmq INTERFACE ${EXPORT_WORKER_ZMQ_LIBRARY})
pkg_check_modules(PROMETHEUS REQUIRED IMPORTED_TARGET prometheus-cpp-core prometheus-cpp-pull)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl>=7.88)
find_package(pugixml 1.13 REQUIRED)
find_package(simdjson 3.0 REQUIRED)
pkg_check_modules(XLSXWRITER REQUIRED IMPORTED_TARGET xlsxwriter)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib>=1.2.13)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd>=1.5)
pkg_check_modules(SYSTEMD REQUIRED IMPORTED_TARGET libsystemd>=252)
pkg_check_modules(PQ REQUIRED IMPORTED_TARGET libpq>=15)
pkg_check_modules(SQLITE REQUIRED IMPORTED_TARGET sqlite3>=3.40)

add_library(export_worker_msgpack INTERFACE)
# Without this switch the packaged headers want Boost, which nothing here needs them to have.
target_compile_definitions(export_worker_msgpack INTERFACE MSGPACK_NO_BOOST)

add_library(export_worker_asio INTERFACE)
target_link_libraries(export_worker_asio INTERFACE Boost::headers Threads::Threads)
# Header-only Asio without the deprecated parts.
target_compile_definitions(export_worker_asio INTERFACE BOOST_ASIO_NO_DEPRECATED)
