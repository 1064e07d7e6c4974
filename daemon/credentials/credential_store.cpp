#include "daemon/credentials/credential_store.hpp"

#include <algorithm>

#include "base/crypto/compare.hpp"
#include "base/io.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/this_thread.hpp"
#include "daemon/credentials/limits.hpp"

namespace export_worker::credentials {
namespace {

std::uint64_t next_number() {
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1) + 1;
}

std::int64_t us_of(std::chrono::microseconds time) {
    return time.count();
}

std::vector<std::string> look_at(const std::vector<std::string>& paths) {
    std::vector<std::string> out;
    out.reserve(paths.size());
    for (const std::string& path : paths) out.push_back(file_version(path));
    return out;
}

std::string place_of(const model::StoreSettings& store) {
    for (const char* key : {"root", "prefix", "base_url"}) {
        const auto found = store.values.find(key);
        if (found != store.values.end() && !found->second.empty()) return found->second;
    }
    return {};
}

// With refresh-first, credentials must outlive a whole link at all times.
std::chrono::seconds ahead_of(const model::StoreSettings& store) {
    const auto seconds = [&](const char* key) {
        const auto found = store.values.find(key);
        const auto number =
            found == store.values.end() ? std::nullopt : parse_unsigned(found->second);
        return std::chrono::seconds(number.value_or(0));
    };
    const auto policy = store.values.find("expiry_policy");
    if (policy == store.values.end() || policy->second != "refresh-first")
        return limits::kCredentialAhead;
    return limits::kCredentialAhead + seconds("link_lifetime_s") + seconds("link_window_s");
}

}  // namespace

CredentialSet::~CredentialSet() {
    for (auto& [name, credentials] : by_store) {
        crypto::wipe(credentials.secret);
        crypto::wipe(credentials.session_token);
    }
}

CredentialStore::CredentialStore(const std::vector<model::StoreSettings>& stores,
                                 const Clock& clock)
    : clock_(clock) {
    for (const model::StoreSettings& store : stores) {
        Entry entry;
        entry.settings = store;
        entry.source = make_source(store, clock, &stopping_);
        entry.ahead = ahead_of(store);
        entry.state.store = store.name;
        entry.state.source = entry.source->name();
        entries_.push_back(std::move(entry));
    }
    publish({});
}

CredentialStore::CredentialStore(CredentialSet::ByStore by_store) : clock_(system_clock()) {
    publish(std::move(by_store));
}

Result<std::unique_ptr<CredentialStore>> CredentialStore::load(
    const std::vector<model::StoreSettings>& stores, const Clock& clock) {
    std::unique_ptr<CredentialStore> out(new CredentialStore(stores, clock));
    EW_CHECK(out->fetch_all(true));
    return out;
}

CredentialStore::~CredentialStore() {
    {
        const std::lock_guard lock(mutex_);
        stopping_.store(true);
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void CredentialStore::start() {
    if (!thread_.joinable() && !entries_.empty()) thread_ = std::thread([this] { run(); });
}

Result<void> CredentialStore::renew() {
    return fetch_all(false);
}

Result<void> CredentialStore::fetch_all(bool keep_what_is_away) {
    const std::lock_guard fetching(fetching_);
    std::vector<Result<Credentials>> fetched;
    for (Entry& entry : entries_) {
        entry.seen = look_at(entry.source->files());
        fetched.push_back(entry.source->fetch());
        const auto& last = fetched.back();
        if (last || (keep_what_is_away && entry.source->is_remote())) continue;
        return fail(last.error().code,
                    "[store." + entry.settings.name + "] credentials: " + last.error().message);
    }
    CredentialSet::ByStore by_store = snapshot()->by_store;
    for (std::size_t index = 0; index < entries_.size(); ++index)
        take(entries_[index], std::move(fetched[index]), by_store);
    publish(std::move(by_store));
    return {};
}

// Puts what came into `by_store`, and plans the next time.
void CredentialStore::take(Entry& entry, Result<Credentials> fetched,
                           CredentialSet::ByStore& by_store) {
    const std::int64_t now_us = clock_.unix_us();
    const auto known = by_store.find(entry.settings.name);
    CredentialState state;
    state.store = entry.settings.name;
    state.place = place_of(entry.settings);
    state.source = entry.source->name();
    state.fetched_unix_us = now_us;
    if (fetched) {
        const bool same = known != by_store.end() && known->second.same_material(*fetched);
        fetched->version = same ? known->second.version : next_number();
        if (!same && known != by_store.end())
            log_info("store {}: new credentials from {}", state.store, state.source);
        entry.failures = 0;
        plan(entry, &*fetched, !same);
        state.usable = true;
        state.expires_unix_us = fetched->expires_unix_us;
        by_store[entry.settings.name] = std::move(*fetched);
    } else {
        ++entry.failures;
        log_error("store {}: credentials from {}: {}", state.store, state.source,
                  fetched.error().message);
        plan(entry, nullptr, false);
        state.error = fetched.error().message;
        if (known != by_store.end()) {  // What there was is used until it ends.
            state.usable =
                known->second.expires_unix_us == 0 || known->second.expires_unix_us > now_us;
            state.expires_unix_us = known->second.expires_unix_us;
        }
    }
    const std::lock_guard lock(mutex_);
    if (!state.error.empty()) state.fetched_unix_us = entry.state.fetched_unix_us;
    entry.state = std::move(state);
}

void CredentialStore::plan(Entry& entry, const Credentials* credentials, bool changed) {
    const std::int64_t now_us = clock_.unix_us();
    if (credentials == nullptr) {
        // Files are looked at all the time; who is asked over a network gets some peace.
        const auto pause =
            std::min(limits::kCredentialRetryMin * (1 << std::min(entry.failures, 8)),
                     limits::kCredentialRetryMax);
        entry.renew_at_us = entry.source->is_remote() ? now_us + us_of(pause) : 0;
        return;
    }
    if (credentials->expires_unix_us == 0) {
        entry.renew_at_us = 0;
        return;
    }
    entry.renew_at_us = credentials->expires_unix_us - us_of(entry.ahead);
    const std::int64_t soonest =
        now_us + us_of(changed ? limits::kCredentialRetryMin : limits::kCredentialSameAgain);
    entry.renew_at_us = std::max(entry.renew_at_us, soonest);
    // Never past the end for the sake of politeness.
    entry.renew_at_us = std::min(
        entry.renew_at_us,
        std::max(credentials->expires_unix_us, now_us + us_of(limits::kCredentialRetryMin)));
}

bool CredentialStore::is_due(const Entry& entry) const {
    if (entry.renew_at_us != 0 && clock_.unix_us() >= entry.renew_at_us) return true;
    return look_at(entry.source->files()) != entry.seen;
}

void CredentialStore::publish(CredentialSet::ByStore by_store) {
    auto set = std::make_shared<const CredentialSet>(next_number(), std::move(by_store));
    const std::lock_guard lock(mutex_);
    set_ = std::move(set);
    sequence_.store(set_->sequence, std::memory_order_release);
}

void CredentialStore::run() {
    name_this_thread("credentials");
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, clock_.block_for(limits::kCredentialWatchInterval),
                              [this] { return stopping_.load(); })) {
        lock.unlock();
        {
            const std::lock_guard fetching(fetching_);
            for (Entry& entry : entries_) {
                if (!is_due(entry)) continue;
                entry.seen = look_at(entry.source->files());
                CredentialSet::ByStore by_store = snapshot()->by_store;
                take(entry, entry.source->fetch(), by_store);
                publish(std::move(by_store));
            }
        }
        lock.lock();
    }
}

std::shared_ptr<const CredentialSet> CredentialStore::snapshot() const {
    const std::lock_guard lock(mutex_);
    return set_;
}

bool CredentialStore::knows(std::string_view store) const {
    return std::ranges::any_of(entries_,
                               [&](const Entry& entry) { return entry.settings.name == store; });
}

bool CredentialStore::has_same_material(const CredentialStore& other) const {
    const auto mine = snapshot();
    const auto theirs = other.snapshot();
    return std::ranges::equal(mine->by_store, theirs->by_store, [](const auto& a, const auto& b) {
        return a.first == b.first && a.second.same_material(b.second);
    });
}

std::vector<CredentialState> CredentialStore::states() const {
    const std::lock_guard lock(mutex_);
    std::vector<CredentialState> out;
    for (const Entry& entry : entries_) out.push_back(entry.state);
    return out;
}

}  // namespace export_worker::credentials
