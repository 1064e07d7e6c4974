// PostgreSQL's job store, for the suites of all of them.
#pragma once

#include <memory>
#include <string>

#include "daemon/jobs/postgres/postgres_job_store.hpp"
#include "tests/unit/daemon/jobs/job_store_fixture.hpp"
#include "tests/unit/support/postgres_schemas.hpp"

namespace export_worker::jobs {

// A daemon as the registry sees it: a membership, and a store that it owns.
class JoinedJobStore final : public JobStore {
public:
    // nullptr, with a failure of the test: it cannot be opened.
    static std::unique_ptr<JobStore> open(const PostgresStoreOptions& options, const Clock& clock,
                                          const JobPolicy& policy) {
        auto membership = cluster::Membership::join(
            {.database = options.database, .name = "test", .version = policy.version}, clock);
        EXPECT_TRUE(membership) << membership.error().message;
        if (!membership) return nullptr;
        auto store = open_postgres_job_store(options, **membership, clock, policy);
        EXPECT_TRUE(store) << store.error().message;
        if (!store) return nullptr;
        return std::unique_ptr<JobStore>(
            new JoinedJobStore(std::move(*membership), std::move(*store)));
    }
    [[nodiscard]] cluster::Membership& membership() { return *membership_; }

    JobReader& reader() override { return store_->reader(); }
    JobRequests& requests() override { return store_->requests(); }
    JobQueue& queue() override { return store_->queue(); }
    JobFiles& files() override { return store_->files(); }
    JobRetention& retention() override { return store_->retention(); }
    JobAccesses& accesses() override { return store_->accesses(); }
    Organizations& organizations() override { return store_->organizations(); }
    Outbox& outbox() override { return store_->outbox(); }
    Result<void> backup(const std::string& path, const std::function<bool()>& keep_going) override {
        return store_->backup(path, keep_going);
    }
    Result<void> compact(std::chrono::milliseconds pause_max,
                         const std::function<bool()>& keep_going) override {
        return store_->compact(pause_max, keep_going);
    }
    Problem problem() const override { return store_->problem(); }
    std::uint64_t write_errors() const override { return store_->write_errors(); }

private:
    JoinedJobStore(std::unique_ptr<cluster::Membership> membership, std::unique_ptr<JobStore> store)
        : membership_(std::move(membership)), store_(std::move(store)) {}

    const std::unique_ptr<cluster::Membership> membership_;
    const std::unique_ptr<JobStore> store_;
};

inline StoreUnderTest postgres_store() {
    return {.name = "PostgreSQL",
            .open = [](const std::string& directory, RegistryClock& clock,
                       const JobPolicy& policy) -> std::unique_ptr<JobStore> {
                const auto* database = testing::PostgresSchemas::find(directory, clock);
                if (database == nullptr) return nullptr;
                return JoinedJobStore::open({.database = *database}, clock, policy);
            },
            // The server's: the daemon's own clock is in no row.
            .jump = [](RegistryClock& clock, std::chrono::microseconds by) { clock.advance(by); },
            .done = testing::PostgresSchemas::give_back,
            .why_not =
                [] {
                    std::string why_not;
                    (void)testing::PostgresServer::get(why_not);
                    return why_not;
                }};
}

}  // namespace export_worker::jobs
