// This process among the daemons that share one PostgreSQL schema.
//
// A life of a daemon is a row with a lease that a thread renews once a second. It is over when the
// lease has passed on the database's clock, when its daemon has said so at its end, or when an
// operator has evicted it. Then other daemons put its jobs back and delete the row. A daemon that
// lives all the same enters again under a new id; every write for a job it ran before then fails,
// because that job has no owner any more or another one.
//
// One of them leads: it does the work that one is enough for. All of that work is safe when two do
// it for a moment.
//
// What daemons keep in memory follows the changes of others: a writer raises a version in its
// transaction, every daemon learns of it with its lease, takes the change over, and says so. A
// daemon that cannot renew stops answering from its memory before its lease ends, so a writer waits
// for no longer than a lease.
//
// A crash leaves the row, whose lease ends by itself.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/stoppable_threads.hpp"
#include "daemon/cluster/change_feed.hpp"
#include "daemon/cluster/cluster_problem.hpp"
#include "daemon/cluster/instances.hpp"
#include "daemon/cluster/lease_rows.hpp"
#include "daemon/cluster/limits.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::cluster {

struct MembershipOptions {
    // The membership has kMembershipConnections of its own, whatever this says. Behind a pooler,
    // one that goes past it is better.
    postgres::DatabaseOptions database;
    std::string name = {};     // What operators call this daemon.
    std::string version = {};  // This program's version.
    // kLeaseLengthMin to kLeaseLengthMax. A daemon that has not renewed for so long is over.
    std::chrono::seconds lease_length = limits::kLeaseLengthDefault;
    FileHashes file_hashes = {};
    bool require_synchronous = true;  // Without a synchronous standby, problems() says so.
};

// [any-thread]
class Membership {
public:
    // Brings the tables of the cluster up to date, enters, and renews every kLeaseInterval. `clock`
    // outlives it; it says when to renew and how old a renewal is, and no time in a row. Errors:
    // kInvalidArgument (lease_length), those of postgres::Database::open() and of writes.
    [[nodiscard]] static Result<std::unique_ptr<Membership>> join(MembershipOptions options,
                                                                  const Clock& clock);
    ~Membership();  // Says that this life is over, if the database can be reached.
    Membership(const Membership&) = delete;
    Membership& operator=(const Membership&) = delete;

    [[nodiscard]] std::string id() const;  // Of this life; another one after it was lost.
    [[nodiscard]] const std::string& name() const { return options_.name; }
    // The last renewal that succeeded was sent less than lease_length - kLeaseMargin ago. False:
    // others may take this daemon for dead; what it runs should stop, and what it remembers may be
    // out of date.
    [[nodiscard]] bool is_current() const;
    // Renews now, on the caller's thread. Errors: those of writes.
    [[nodiscard]] Result<void> renew();

    // For leader_length() - kLeaseMargin after the last renewal as the leader.
    [[nodiscard]] bool is_leader() const;
    // Of the leadership that is_leader() speaks of: greater than that of every leader before. 0:
    // this daemon has never led.
    [[nodiscard]] std::int64_t leader_term() const;

    // What the last renewal has found.
    [[nodiscard]] Changes newest(ChangeKind kind) const;
    // Memory has everything up to `seen`, or there is none. `seen.history` is that of newest()
    // before the changes were read. Told to the others at once.
    void report_seen(ChangeKind kind, const Changes& seen);
    // The version in memory; -1: none yet, or of a history that was lost.
    [[nodiscard]] std::int64_t seen(ChangeKind kind) const;
    // Memory may be answered from: what the last renewals have found is in it, as is_current()
    // counts it. Costs a look at the clock.
    [[nodiscard]] bool is_up_to_date(ChangeKind kind) const;
    // Returns once the memory of every living daemon has `version`, which is committed, or may not
    // be answered from any more: after the longest lease at the latest. Errors: kDeadlineExceeded.
    [[nodiscard]] Result<void> wait_until_seen(ChangeKind kind, std::int64_t version,
                                               std::optional<SteadyTime> deadline = {});

    // The wall clock of this daemon minus the database's, at the last renewal.
    [[nodiscard]] std::chrono::microseconds clock_offset() const;
    // Errors: those of reads and writes; kNotFound.
    [[nodiscard]] Result<std::vector<Instance>> members();
    [[nodiscard]] Result<void> evict(std::string_view instance_id);
    // Names of files that living daemons do not have alike.
    [[nodiscard]] Result<std::vector<std::string>> differing_files();
    // What is wrong with this daemon's lease and clock (kClockOffsetMax) now, and with the database
    // as of the last kDatabaseCheckInterval.
    [[nodiscard]] std::vector<ClusterProblem> problems() const;

private:
    Membership(MembershipOptions options, std::unique_ptr<postgres::Database> database,
               const Clock& clock)
        : options_(std::move(options)), clock_(clock), database_(std::move(database)) {}
    [[nodiscard]] Result<void> find_privileges();
    // Under a new id.
    [[nodiscard]] Result<void> enter_anew();
    // True: the lease is good, and was before; false: this life has just begun, or come back.
    [[nodiscard]] Result<bool> renew_once();
    // Sends one renewal; nullopt: this life is over.
    struct Sent;
    [[nodiscard]] Result<Sent> send_renewal();
    void take(const Sent& sent);
    // With mutex_ held: the timeline is another one.
    void take_timeline(const std::string& timeline);
    void lead_if_free(const Renewal& renewal);
    void check_database_if_due();
    void run(SteadyTime next);  // `next`: when to renew first.
    [[nodiscard]] std::chrono::microseconds answer_length() const;
    // With mutex_ held: what is_up_to_date() goes by.
    void set_answers_until();
    [[nodiscard]] FollowedChanges& of(ChangeKind kind) {
        return changes_[static_cast<std::size_t>(kind)];
    }
    [[nodiscard]] const FollowedChanges& of(ChangeKind kind) const {
        return changes_[static_cast<std::size_t>(kind)];
    }
    template <typename Work>
    [[nodiscard]] auto read(const Work& work) {
        const std::lock_guard one(reading_);
        return database_->read(work);
    }

    const MembershipOptions options_;
    const Clock& clock_;
    const std::unique_ptr<postgres::Database> database_;
    bool reads_timeline_ = false;  // Fixed once join() returns.
    std::mutex renewal_;           // One renewal at a time, so that a lost row is replaced once.
    std::mutex reading_;           // One other user, so that a connection is left for renewals.
    mutable std::mutex mutex_;
    // All guarded by mutex_:
    std::string id_;  // Empty until it has entered.
    std::optional<SteadyTime> renewed_at_;
    std::string failure_;  // Of the last renewal; empty: it succeeded.
    std::array<FollowedChanges, kChangeKinds> changes_;
    std::string timeline_;
    std::optional<std::chrono::microseconds> clock_offset_;
    std::optional<SteadyTime> led_at_;
    std::int64_t term_ = 0;
    std::vector<ClusterProblem> database_problems_;
    // Of each kind, set under mutex_.
    std::array<std::atomic<SteadyTime>, kChangeKinds> answers_until_{};
    SteadyTime check_due_{};    // The lease thread's.
    StoppableThreads threads_;  // Last: its thread uses the rest.
};

}  // namespace export_worker::cluster
