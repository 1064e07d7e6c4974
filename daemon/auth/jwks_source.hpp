// The keys sessions are verified with, kept current in the background: from a file, watched; from a
// URL, fetched again and again, and early when a token names an unknown key.
//
// A fetched set replaces the file, when there is one, so that a start needs no network. A crash
// leaves the old file or the new one. What cannot be read or fetched changes nothing: the keys in
// use stay.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/auth/jwks.hpp"
#include "daemon/http_client/http_client.hpp"
#include "daemon/model/auth_settings.hpp"

namespace export_worker::auth {

// The keys in a file. Errors: those of read_trusted_file() and Jwks::parse(), naming the file.
[[nodiscard]] Result<Jwks> read_keys(const std::string& path);

class JwksSource {
public:
    // Reads the file. `changed` runs after every change of the keys, on the source's thread.
    // `clock` outlives the source. Errors: those of the file, unless a URL may bring what it lacks.
    [[nodiscard]] static Result<std::unique_ptr<JwksSource>> open(
        const model::AuthSettings& settings, const Clock& clock, std::function<void()> changed);
    ~JwksSource();

    // May have no keys yet. Shared with verifications that use it while it is replaced.
    // [any-thread]
    [[nodiscard]] std::shared_ptr<const Jwks> keys() const;
    // Why the keys may be out of date, in words; empty: they are not. [any-thread]
    [[nodiscard]] std::string problem() const;
    // When the keys were last seen to be current, Unix time; 0: never. [any-thread]
    [[nodiscard]] std::int64_t seen_us() const;
    // Fetches soon, unless that has just been done. [any-thread]
    void miss_key();

private:
    JwksSource(const model::AuthSettings& settings, const Clock& clock,
               std::function<void()> changed);
    void run();
    void look_at_file();
    void fetch();
    [[nodiscard]] Result<void> fetch_keys();
    void set_keys(Jwks keys);

    const model::AuthSettings settings_;
    const Clock& clock_;
    const std::function<void()> changed_;
    std::atomic<bool> stopping_{false};
    http::HttpClient client_;           // The source's thread.
    std::string file_stamp_;            // The source's thread: which version of the file was read.
    std::string text_;                  // The source's thread: what the URL said last.
    std::chrono::seconds back_off_{0};  // The source's thread: what the last answer asked for.
    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::shared_ptr<const Jwks> keys_ = std::make_shared<const Jwks>();  // Guarded by mutex_.
    bool missed_ = false;                                                // Guarded by mutex_.
    std::string file_problem_;  // Guarded by mutex_, written by the source's thread alone.
    std::string url_problem_;   // The same.
    std::int64_t seen_us_ = 0;  // Guarded by mutex_.
    std::thread thread_;
};

}  // namespace export_worker::auth
