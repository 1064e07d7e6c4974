#include "http_shim/access_log.hpp"

#include "http_shim/limits.hpp"

namespace export_worker::http_shim {

bool AccessLog::takes(const Answered& request, std::uint64_t sample) {
    const bool good = request.status >= 200 && request.status < 300 && request.complete &&
                      request.taken < limits::kHttpSlowMin;
    if (!good) return true;
    if (is_probe(request.kind)) return false;
    return ordinary_++ % sample == 0;
}

}  // namespace export_worker::http_shim
