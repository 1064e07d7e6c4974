// EW_ASSERT: a promise of our own code. When it does not hold the process says where and aborts, in
// every build type; callers and the outside world get an Error instead (base/error.hpp).
#pragma once

namespace export_worker {

// Prints expression and place on stderr, then aborts.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace export_worker

#define EW_ASSERT(expression)            \
    ((expression) ? static_cast<void>(0) \
                  : ::export_worker::assertion_failed(#expression, __FILE__, __LINE__))
