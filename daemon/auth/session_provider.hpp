// The identity provider's word on opaque sessions:
//
//   POST URL   {"session_token": "..."}      Authorization: Basic base64(USER:SECRET)
//
// as Stytch B2B's sessions/authenticate has it: 200 with member, member_session and organization;
// 400, 401 and 404 for a token that is nobody's. After kSessionAskFailuresMax failures in a row it
// is left alone for kSessionAskPause.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/auth/identity.hpp"
#include "daemon/http/http_client.hpp"
#include "daemon/model/auth_settings.hpp"

namespace export_worker::auth {

// [any-thread]
class SessionProvider {
public:
    // `clock` outlives the provider. Errors: those of reading the secret.
    [[nodiscard]] static Result<std::unique_ptr<SessionProvider>> open(
        const model::AuthSettings& settings, const Clock& clock);

    // Whose token it is; nullopt: nobody's. Blocks for at most kSessionAskTimeout. Errors:
    // kUnavailable when nobody answered, the answer makes no sense, or nobody is being asked.
    [[nodiscard]] Result<std::optional<Identity>> ask(std::string_view token);
    void stop() { stopping_.store(true); }  // What is under way fails soon.

private:
    SessionProvider(std::string url, std::string ca_file, std::string authorization,
                    const Clock& clock)
        : url_(std::move(url)),
          ca_file_(std::move(ca_file)),
          authorization_(std::move(authorization)),
          clock_(clock) {}
    [[nodiscard]] Result<http::HttpAnswer> send(std::string_view token);
    [[nodiscard]] bool is_paused();
    void count(bool answered);

    const std::string url_;
    const std::string ca_file_;
    const std::string authorization_;
    const Clock& clock_;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;
    std::vector<std::unique_ptr<http::HttpClient>> idle_;  // Guarded by mutex_, like the others.
    int failures_ = 0;                                     // In a row.
    SteadyTime paused_until_{};
};

// The identity in a 200 of the provider's. nullopt: a member who is not active. Errors:
// kUnavailable for an answer that is none.
[[nodiscard]] Result<std::optional<Identity>> parse_session_answer(std::string_view body);

}  // namespace export_worker::auth
