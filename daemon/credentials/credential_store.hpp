// Credentials of the configured stores, kept fresh in the background. Secrets live in memory only
// and are wiped at the end.
//
// Readers take a whole set and keep it for as long as they use it. A set never changes: new
// credentials make a new one, under a sequence number no other set of this process has.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/credentials/credential_source.hpp"
#include "daemon/credentials/credentials.hpp"
#include "daemon/model/store_settings.hpp"

namespace export_worker::credentials {

class CredentialSet {
public:
    using ByStore = std::map<std::string, Credentials, std::less<>>;
    CredentialSet(std::uint64_t number, ByStore credentials)
        : sequence(number), by_store(std::move(credentials)) {}
    CredentialSet(const CredentialSet&) = delete;
    CredentialSet& operator=(const CredentialSet&) = delete;
    ~CredentialSet();
    const std::uint64_t sequence;
    ByStore by_store;  // Those that are there.
};

// What operators may know of one store's credentials.
struct CredentialState {
    std::string store;
    std::string source;
    bool usable = false;
    std::int64_t expires_unix_us = 0;  // 0: no end.
    std::int64_t fetched_unix_us = 0;  // 0: never.
    std::string error;                 // Of the last try; empty when it went well.
    std::string place = {};            // As configured: root, prefix or base_url.
};

class CredentialStore {
public:
    // Fetches everything once. What lies in files must be good: errors are those of
    // CredentialSource::fetch(), naming the store. Who is asked over a network may be away: that is
    // logged, and tried again once start() has been called. `clock` outlives the store.
    [[nodiscard]] static Result<std::unique_ptr<CredentialStore>> load(
        const std::vector<model::StoreSettings>& stores, const Clock& clock = system_clock());
    // Made by the caller: for a process that was handed them.
    explicit CredentialStore(CredentialSet::ByStore by_store);
    ~CredentialStore();
    CredentialStore(const CredentialStore&) = delete;
    CredentialStore& operator=(const CredentialStore&) = delete;

    // Renews in the background from now on: before an end, after a change of a file, after a
    // failure. At most once.
    void start();
    // Fetches everything again, now. Errors: the first; then nothing has changed.
    [[nodiscard]] Result<void> renew();

    // [any-thread]
    [[nodiscard]] std::shared_ptr<const CredentialSet> snapshot() const;
    // Of the current set: cheap, so that a kept snapshot is known to be current. [any-thread]
    [[nodiscard]] std::uint64_t sequence() const {
        return sequence_.load(std::memory_order_acquire);
    }
    // False when no store has that name: then there will never be any. [any-thread]
    [[nodiscard]] bool knows(std::string_view store) const;
    [[nodiscard]] std::vector<CredentialState> states() const;
    // The same stores with the same credentials. [any-thread]
    [[nodiscard]] bool has_same_material(const CredentialStore& other) const;

private:
    struct Entry {
        model::StoreSettings settings;
        std::unique_ptr<CredentialSource> source;
        std::vector<std::string> seen;  // What its files looked like at the last fetch.
        std::int64_t renew_at_us = 0;   // 0: only when a file changes.
        std::chrono::seconds ahead{0};  // Before the end.
        int failures = 0;
        CredentialState state;  // Guarded by mutex_.
    };
    CredentialStore(const std::vector<model::StoreSettings>& stores, const Clock& clock);
    [[nodiscard]] Result<void> fetch_all(bool keep_what_is_away);
    void take(Entry& entry, Result<Credentials> fetched, CredentialSet::ByStore& by_store);
    void publish(CredentialSet::ByStore by_store);
    void plan(Entry& entry, const Credentials* credentials, bool changed);
    [[nodiscard]] bool is_due(const Entry& entry) const;
    void run();

    const Clock& clock_;
    std::mutex fetching_;         // One round of fetches at a time; taken before mutex_.
    std::vector<Entry> entries_;  // Guarded by fetching_, but for what says otherwise.
    mutable std::mutex mutex_;
    std::shared_ptr<const CredentialSet> set_;  // Guarded by mutex_. The set itself is constant.
    std::atomic<std::uint64_t> sequence_{0};
    std::condition_variable changed_;
    std::atomic<bool> stopping_{false};  // Set under mutex_; ends a request in flight, too.
    std::thread thread_;
};

}  // namespace export_worker::credentials
