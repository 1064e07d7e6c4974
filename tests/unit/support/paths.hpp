// Where a build tree has what tests use. In one source file of its own: a path that every test was
// compiled with would make every checkout compile every test anew.
#pragma once

#include <string>

namespace export_worker::testing {

// Published signing vectors; may be missing. The environment's EXPORT_WORKER_VECTORS_DIR, else
// CMake's.
[[nodiscard]] std::string vectors_directory();
[[nodiscard]] std::string golden_directory();    // tests/golden.
[[nodiscard]] std::string fixtures_directory();  // Plugins made for tests.
[[nodiscard]] std::string probe_program();       // export-workerd.

}  // namespace export_worker::testing
