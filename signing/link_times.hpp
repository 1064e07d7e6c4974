// When a link is signed, and until when it really works.
#pragma once

#include <cstdint>
#include <optional>

namespace export_worker::signing {

struct LinkTimesRequest {
    std::int64_t now_unix_s = 0;
    std::int64_t lifetime_s = 0;      // What was asked for.
    std::int64_t lifetime_max_s = 0;  // The provider's bound on what is signed; 0: none.
    // The same link for this long, so that browsers and caches can keep it; 0: never the same
    // twice. lifetime_s + window_s is within lifetime_max_s.
    std::int64_t window_s = 0;
    // Signed this far in the past, for clients and stores whose clocks are behind.
    std::int64_t backdate_s = 0;
    std::int64_t credentials_end_unix_s = 0;  // 0: none.
};

struct LinkTimes {
    std::int64_t signed_unix_s = 0;   // The time to sign with.
    std::int64_t expires_unix_s = 0;  // The end to sign: never beyond the credentials'.
    [[nodiscard]] std::int64_t signed_lifetime_s() const { return expires_unix_s - signed_unix_s; }
};

// Rounds the signing time down to the window and adds the window to the lifetime, so that every
// link made within it is the same and none lives shorter than asked. Only the end of the
// credentials and the provider's bound cut it. nullopt: the credentials have ended.
[[nodiscard]] std::optional<LinkTimes> plan_link_times(const LinkTimesRequest& request);

}  // namespace export_worker::signing
