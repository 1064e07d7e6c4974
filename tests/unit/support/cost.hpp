// What work costs the thread that does it.
#pragma once

#include <time.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace export_worker::testing {

// A promised cost is promised of the optimized build; the others show that nothing explodes: what
// grows with the square of a megabyte takes thousands of times as long.
#if defined(EXPORT_WORKER_COVERAGE)
inline constexpr double kSlower = 100;  // Its counters are shared by all threads.
#elif defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
inline constexpr double kSlower = 1;
#else
inline constexpr double kSlower = 25;
#endif

// Processor time of this thread, the least of some runs: a neighbour on the same core adds to it.
template <typename Work>
double milliseconds_of(const Work& work) {
    const auto now = [] {
        timespec time{};
        ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
    };
    double least = 1e9;
    for (int run = 0; run < (kSlower == 1 ? 5 : 2); ++run) {
        const double begun = now();
        work();
        least = std::min(least, now() - begun);
    }
    return least;
}

// `begin`, `each` as often as it fits into `bytes`, and `end`.
inline std::string repeated(std::size_t bytes, std::string_view begin, std::string_view each,
                            std::string_view end = {}) {
    std::string out(begin);
    while (out.size() + each.size() + end.size() < bytes) out += each;
    return out + std::string(end);
}

}  // namespace export_worker::testing
