#include "base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace export_worker {

void assertion_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "%s:%d: broken promise: %s\n", file, line, expression);
    std::abort();
}

}  // namespace export_worker
