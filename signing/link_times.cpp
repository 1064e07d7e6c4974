#include "signing/link_times.hpp"

#include <algorithm>

namespace export_worker::signing {

std::optional<LinkTimes> plan_link_times(const LinkTimesRequest& request) {
    LinkTimes out;
    out.signed_unix_s = request.now_unix_s - request.backdate_s;
    std::int64_t lifetime_s = request.lifetime_s + request.backdate_s;
    if (request.window_s > 0) {
        out.signed_unix_s -= out.signed_unix_s % request.window_s;
        lifetime_s += request.window_s;
    }
    if (request.lifetime_max_s > 0) lifetime_s = std::min(lifetime_s, request.lifetime_max_s);
    out.expires_unix_s = out.signed_unix_s + lifetime_s;
    if (request.credentials_end_unix_s > 0)
        out.expires_unix_s = std::min(out.expires_unix_s, request.credentials_end_unix_s);
    if (out.expires_unix_s <= request.now_unix_s) return std::nullopt;
    return out;
}

}  // namespace export_worker::signing
