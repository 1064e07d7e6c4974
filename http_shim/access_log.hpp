// Which requests get a line in the access log.
#pragma once

#include <chrono>
#include <cstdint>

#include "http_shim/routes.hpp"

namespace export_worker::http_shim {

struct Answered {
    RouteKind kind = RouteKind::kNone;
    int status = 0;
    bool complete = true;  // All of the answer was sent.
    std::chrono::nanoseconds taken{0};
};

// [the io thread]
class AccessLog {
public:
    // Always true for what failed: any status but 2xx, an answer that was cut off, one that took
    // kHttpSlowMin. Otherwise false for /livez, /readyz and /metrics, and true for the first of
    // every `sample` (1 or more) of the rest.
    [[nodiscard]] bool takes(const Answered& request, std::uint64_t sample);

private:
    std::uint64_t ordinary_ = 0;  // Requests that sampling was about.
};

}  // namespace export_worker::http_shim
