#include "tests/unit/support/paths.hpp"

#include <cstdlib>

namespace export_worker::testing {

std::string vectors_directory() {
    const char* set = std::getenv("EXPORT_WORKER_VECTORS_DIR");
    return set != nullptr ? set : EXPORT_WORKER_VECTORS_DIR;
}
std::string golden_directory() {
    return EXPORT_WORKER_GOLDEN_DIR;
}
std::string fixtures_directory() {
    return EXPORT_WORKER_FIXTURES_DIR;
}
std::string probe_program() {
    return EXPORT_WORKER_PROBE_PROGRAM;
}

}  // namespace export_worker::testing
