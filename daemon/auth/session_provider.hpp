// The identity provider's word on opaque sessions:
//
//   POST URL   {"session_token": "..."}      Authorization: Basic base64(USER:SECRET)
//
// as Stytch B2B's sessions/authenticate has it: 200 with member, member_session and organization;
// 400, 401 and 404 for an unknown or expired token. It is left alone for kSessionAskPause after
// kSessionAskFailuresMax failures in a row (no answer, or a status of 500 and above), and after a
// 429 for as long as its Retry-After says.
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
#include "daemon/http_client/http_client.hpp"
#include "daemon/model/auth_settings.hpp"

namespace export_worker::auth {

// [any-thread]
class SessionProvider {
public:
    // `clock` outlives the provider. Errors: those of reading the secret.
    [[nodiscard]] static Result<std::unique_ptr<SessionProvider>> open(
        const model::AuthSettings& settings, const Clock& clock);

    // Whose token it is; nullopt: unknown or expired. Blocks for at most kSessionAskTimeout.
    // Errors: kUnavailable when the provider did not answer, its answer makes no sense, or it is
    // paused.
    [[nodiscard]] Result<std::optional<Identity>> introspect(std::string_view token);
    // The provider is being left alone: introspect() would fail at once.
    [[nodiscard]] bool is_paused() const;
    // Why sessions may be refused, in words; empty: it answers. [any-thread]
    [[nodiscard]] std::string problem() const;
    void stop() { stopping_.store(true); }  // What is under way fails soon.

private:
    SessionProvider(std::string url, std::string ca_file, std::string authorization,
                    const Clock& clock)
        : url_(std::move(url)),
          ca_file_(std::move(ca_file)),
          authorization_(std::move(authorization)),
          clock_(clock) {}
    [[nodiscard]] Result<http::HttpAnswer> send(std::string_view token);
    void count(bool answered);
    void back_off(std::string_view retry_after);

    const std::string url_;
    const std::string ca_file_;
    const std::string authorization_;
    const Clock& clock_;
    std::atomic<bool> stopping_{false};
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<http::HttpClient>> idle_;  // Guarded by mutex_, like the others.
    int failures_ = 0;                                     // In a row.
    SteadyTime paused_until_{};
    std::string problem_;  // Since the last pause began, until it answers.
};

// The identity in a 200 of the provider's. nullopt: a member who is not active. Errors:
// kUnavailable for an answer that is none.
[[nodiscard]] Result<std::optional<Identity>> parse_session_answer(std::string_view body);

}  // namespace export_worker::auth
