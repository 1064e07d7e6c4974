#include "daemon/cluster/membership.hpp"

#include <algorithm>
#include <utility>

#include "base/crypto/uuid.hpp"
#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "daemon/cluster/cluster_schema.hpp"
#include "daemon/cluster/database_checks.hpp"

namespace export_worker::cluster {
namespace {

using std::chrono::microseconds;

using postgres::Connection;

postgres::DatabaseOptions own_connections(postgres::DatabaseOptions options) {
    options.connections_max = limits::kMembershipConnections;
    return options;
}

}  // namespace

struct Membership::Sent {
    SteadyTime at;
    SteadyTime answered_at;
    microseconds clock_offset{0};
    std::optional<Renewal> renewal;

    // The lease was good when it was renewed, and until its end the commit was known: whoever has
    // looked meanwhile has seen it good, and a change that was not found waits for this daemon.
    [[nodiscard]] bool was_alive() const {
        return renewal && microseconds(renewal->lease_left_us) > limits::kLeaseMargin &&
               answered_at - at < limits::kLeaseMargin;
    }
};

Result<std::unique_ptr<Membership>> Membership::join(MembershipOptions options,
                                                     const Clock& clock) {
    if (options.lease_length < limits::kLeaseLengthMin ||
        options.lease_length > limits::kLeaseLengthMax)
        return fail(ErrorCode::kInvalidArgument,
                    "lease: expected " + std::to_string(limits::kLeaseLengthMin.count()) + " to " +
                        std::to_string(limits::kLeaseLengthMax.count()) + " s, found " +
                        std::to_string(options.lease_length.count()));
    EW_TRY(std::unique_ptr<postgres::Database> database,
           postgres::Database::open(own_connections(options.database),
                                    {.component = "cluster", .steps = kClusterMigrations}));
    std::unique_ptr<Membership> out(new Membership(std::move(options), std::move(database), clock));
    EW_CHECK(out->find_privileges());
    EW_CHECK(out->enter_anew());
    EW_CHECK(out->renew());
    out->threads_.start([membership = out.get(), next = clock.steady() + limits::kLeaseInterval] {
        membership->run(next);
    });
    return out;
}

Membership::~Membership() {
    threads_.stop();
    const std::string mine = id();
    if (mine.empty()) return;
    const auto ended = database_->write(
        [&](Connection& connection, std::int64_t) { return end_life(connection, mine); });
    if (!ended) log_warn("instance {}: its end: {}", mine, ended.error().message);
}

Result<void> Membership::find_privileges() {
    EW_TRY(reads_timeline_, database_->read(may_read_timeline));
    if (!reads_timeline_)
        log_warn(
            "the role may not read PostgreSQL's timeline: a failover is seen only by what it "
            "has lost; GRANT EXECUTE ON FUNCTION pg_current_wal_lsn, pg_walfile_name");
    return {};
}

std::string Membership::id() const {
    const std::lock_guard lock(mutex_);
    return id_;
}

microseconds Membership::answer_length() const {
    return options_.lease_length - limits::kLeaseMargin;
}

bool Membership::is_current() const {
    const std::lock_guard lock(mutex_);
    return renewed_at_ && clock_.steady() - *renewed_at_ < answer_length();
}

bool Membership::is_leader() const {
    const std::lock_guard lock(mutex_);
    return led_at_ &&
           clock_.steady() - *led_at_ < leader_length(options_.lease_length) - limits::kLeaseMargin;
}

std::int64_t Membership::leader_term() const {
    const std::lock_guard lock(mutex_);
    return term_;
}

Changes Membership::newest(ChangeKind kind) const {
    const std::lock_guard lock(mutex_);
    return of(kind).newest();
}

void Membership::report_seen(ChangeKind kind, const Changes& seen) {
    {
        const std::lock_guard lock(mutex_);
        of(kind).follow(seen);
        set_answers_until();
    }
    threads_.wake();
}

std::int64_t Membership::seen(ChangeKind kind) const {
    const std::lock_guard lock(mutex_);
    return of(kind).seen();
}

bool Membership::is_up_to_date(ChangeKind kind) const {
    return clock_.steady() < answers_until_[static_cast<std::size_t>(kind)].load();
}

void Membership::set_answers_until() {
    for (std::size_t kind = 0; kind < changes_.size(); ++kind) {
        const auto at = changes_[kind].current_at();
        answers_until_[kind] = at ? *at + answer_length() : SteadyTime();
    }
}

Result<void> Membership::wait_until_seen(ChangeKind kind, std::int64_t version,
                                         std::optional<SteadyTime> deadline) {
    // Those that have not seen it were told before it was committed, and answer for no longer than
    // the lease they had then. What it was is not known while the database cannot be reached.
    SteadyTime silent_at = clock_.steady() + options_.lease_length;
    bool has_looked = false;
    for (;;) {
        const auto unaware = read(
            [&](Connection& connection) { return count_unaware(connection, kind, version, id()); });
        const SteadyTime now = clock_.steady();
        if (unaware && unaware->instances == 0 && seen(kind) >= version) return {};
        if (unaware && !std::exchange(has_looked, true))
            silent_at = now + std::max(unaware->longest, answer_length());
        if (now >= silent_at) return {};
        if (deadline && now >= *deadline)
            return fail(ErrorCode::kDeadlineExceeded,
                        unaware ? std::to_string(unaware->instances) +
                                      " other daemons have not taken the change over yet"
                                : unaware.error().message);
        if (!threads_.wait_for(clock_.block_for(limits::kSeenPollInterval)))
            return fail(ErrorCode::kUnavailable, "the daemon is stopping");
    }
}

microseconds Membership::clock_offset() const {
    const std::lock_guard lock(mutex_);
    return clock_offset_.value_or(microseconds(0));
}

Result<std::vector<Instance>> Membership::members() {
    return read(list_instances);
}

Result<void> Membership::evict(std::string_view instance_id) {
    const std::lock_guard one(reading_);
    return database_->write([&](Connection& connection, std::int64_t) {
        return evict_instance(connection, instance_id);
    });
}

Result<std::vector<std::string>> Membership::differing_files() {
    EW_TRY(const std::vector<Instance> instances, members());
    return names_of_differing_files(instances);
}

std::vector<ClusterProblem> Membership::problems() const {
    const bool current = is_current();
    const std::lock_guard lock(mutex_);
    std::vector<ClusterProblem> out = database_problems_;
    if (clock_offset_ && std::chrono::abs(*clock_offset_) > limits::kClockOffsetMax)
        out.push_back({{"the clock of this daemon's machine is " +
                            std::to_string(clock_offset_->count() / 1'000) +
                            " ms off the database's: links are dated wrong",
                        "synchronize both clocks (NTP)"},
                       "clock"});
    if (!current)
        out.push_back({{"the lease of this daemon could not be renewed in time: " +
                            (failure_.empty() ? "the daemon was not running" : failure_),
                        "see that PostgreSQL runs and can be reached; the next renewal ends this "
                        "alarm"},
                       "lease"});
    return out;
}

Result<void> Membership::enter_anew() {
    NewLife life{.before = id(),
                 .name = options_.name,
                 .version = options_.version,
                 .file_hashes = encode_file_hashes(options_.file_hashes)};
    {
        const std::lock_guard lock(mutex_);
        for (std::size_t kind = 0; kind < changes_.size(); ++kind)
            life.seen[kind] = std::max<std::int64_t>(changes_[kind].seen(), 0);
    }
    EW_CHECK(database_->write([&](Connection& connection, std::int64_t now_us) {
        // A row of a try whose answer was lost ends by itself.
        life.id = crypto::make_uuid7(now_us);
        life.started_us = now_us;
        return enter_life(connection, life, options_.lease_length);
    }));
    const std::lock_guard lock(mutex_);
    id_ = std::move(life.id);
    led_at_.reset();
    return {};
}

Result<void> Membership::renew() {
    const std::lock_guard one(renewal_);
    auto good = renew_once();
    // A life that has just begun, or come back, asks again: what was changed while no writer waited
    // for it is committed by now.
    if (good && !*good) good = renew_once();
    const std::lock_guard lock(mutex_);
    failure_ = good ? "" : good.error().message;
    if (!good) return fail(good.error());
    return {};
}

Result<bool> Membership::renew_once() {
    EW_TRY(const Sent sent, send_renewal());
    if (!sent.renewal) {
        const std::string before = id();
        EW_CHECK(enter_anew());
        log_warn("instance {}: its lease had ended, and its jobs were put back; goes on as {}",
                 before, id());
        return false;
    }
    take(sent);
    lead_if_free(*sent.renewal);
    return sent.was_alive();
}

Result<Membership::Sent> Membership::send_renewal() {
    LeaseState state{.reads_timeline = reads_timeline_};
    {
        const std::lock_guard lock(mutex_);
        state.id = id_;
        state.timeline = timeline_;
        if (clock_offset_) state.clock_offset_us = clock_offset_->count();
        for (std::size_t kind = 0; kind < changes_.size(); ++kind)
            state.seen[kind] = std::max<std::int64_t>(changes_[kind].seen(), 0);
    }
    Sent out;
    EW_TRY(out.renewal, database_->write([&](Connection& connection, std::int64_t) {
        out.at = clock_.steady();  // The last try, which succeeds, is what counts.
        const std::int64_t before_us = clock_.unix_us();
        auto renewal = renew_lease(connection, state, options_.lease_length);
        if (renewal && *renewal)
            out.clock_offset =
                microseconds((before_us + clock_.unix_us()) / 2 - (*renewal)->database_us);
        return renewal;
    }));
    out.answered_at = clock_.steady();
    return out;
}

void Membership::take(const Sent& sent) {
    const Renewal& renewal = *sent.renewal;
    const std::lock_guard lock(mutex_);
    renewed_at_ = sent.at;
    clock_offset_ = sent.clock_offset;
    take_timeline(renewal.timeline);
    if (sent.was_alive()) {
        for (std::size_t kind = 0; kind < changes_.size(); ++kind)
            changes_[kind].renewed(sent.at, renewal.versions[kind]);
    }
    set_answers_until();
    led_at_ = renewal.term ? std::optional(sent.at) : std::nullopt;
    if (renewal.term) term_ = *renewal.term;
}

void Membership::take_timeline(const std::string& timeline) {
    if (timeline_ == timeline) return;
    if (!timeline_.empty()) {
        log_warn("PostgreSQL's timeline was {} and is {}: it has failed over", timeline_, timeline);
        for (FollowedChanges& each : changes_) each.lose_history();
    }
    timeline_ = timeline;
}

void Membership::lead_if_free(const Renewal& renewal) {
    if (renewal.term || !renewal.is_leader_free) return;
    const std::string mine = id();
    SteadyTime sent;
    const auto term = database_->write([&](Connection& connection, std::int64_t) {
        sent = clock_.steady();
        return take_lead(connection, mine, options_.lease_length);
    });
    if (!term) log_warn("leader: {}", term.error().message);
    if (!term || !*term) return;
    log_info("instance {} leads, term {}", mine, **term);
    const std::lock_guard lock(mutex_);
    led_at_ = sent;
    term_ = **term;
}

void Membership::check_database_if_due() {
    if (clock_.steady() < check_due_) return;
    check_due_ = clock_.steady() + limits::kDatabaseCheckInterval;
    auto problems = database_->read([&](Connection& connection) {
        return check_database(connection, {options_.require_synchronous, limits::kSnapshotAgeMax});
    });
    if (!problems) return log_warn("checks of the database: {}", problems.error().message);
    const std::lock_guard lock(mutex_);
    database_problems_ = std::move(*problems);
}

void Membership::run(SteadyTime next) {
    name_this_thread("lease");
    bool is_failing = false;  // The log says so once.
    for (std::uint64_t seen = threads_.wakes();;) {
        if (clock_.steady() >= next || threads_.wakes() != seen) {
            seen = threads_.wakes();
            next = clock_.steady() + limits::kLeaseInterval;
            const auto renewed = renew();
            if (!renewed && !is_failing) log_warn("lease: {}", renewed.error().message);
            is_failing = !renewed;
            if (renewed) check_database_if_due();
        }
        if (!threads_.wait_for(clock_.block_for(limits::kLeaseInterval), seen)) return;
    }
}

}  // namespace export_worker::cluster
