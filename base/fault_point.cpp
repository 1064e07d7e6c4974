// A file of its own: the tests' daemon brings another definition, and the linker then leaves this
// one in its archive.
#include "base/fault_point.hpp"

namespace export_worker {

void fault_point(const char*) {}

bool fault_loses_answer(const char*) {
    return false;
}

}  // namespace export_worker
