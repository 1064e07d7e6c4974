// This life of the daemon, as the database knows it: a row with a lease that a thread renews.
//
// A life is over when its lease has passed on the database's clock, or when its daemon has said so
// at its end. Another daemon's rescue() puts its jobs back and deletes its row. A daemon that finds
// its row deleted enters again under a new id; every write for a job it ran before then fails,
// because that job has no owner any more or another one.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/stoppable_threads.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::jobs::pg {

// [any-thread]
class InstanceLease {
public:
    // Enters; the thread renews every kLeaseInterval. Both outlive it. Errors: those of writes.
    [[nodiscard]] static Result<std::unique_ptr<InstanceLease>> enter(postgres::Database& database,
                                                                      const Clock& clock,
                                                                      const std::string& version,
                                                                      std::chrono::seconds length);
    ~InstanceLease();  // Says that this life is over, if the database can be reached.
    InstanceLease(const InstanceLease&) = delete;
    InstanceLease& operator=(const InstanceLease&) = delete;

    [[nodiscard]] std::string id() const;
    // Now, on the caller's thread. Errors: those of writes.
    [[nodiscard]] Result<void> renew();

private:
    InstanceLease(postgres::Database& database, const Clock& clock, std::string version,
                  std::chrono::seconds length)
        : database_(database), clock_(clock), version_(std::move(version)), length_(length) {}
    // Under a new id.
    [[nodiscard]] Result<void> enter_anew();
    void run();

    postgres::Database& database_;
    const Clock& clock_;
    const std::string version_;
    const std::chrono::seconds length_;
    mutable std::mutex mutex_;
    std::string id_;      // Guarded by mutex_; empty until it has entered.
    std::mutex renewal_;  // One renewal at a time, so that a lost row is replaced once.
    StoppableThreads threads_;
};

}  // namespace export_worker::jobs::pg
