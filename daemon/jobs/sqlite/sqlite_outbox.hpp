// The notices that wait in jobs.db. Which of them are being delivered is in memory: the file has
// one process.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/jobs/outbox.hpp"
#include "daemon/jobs/sqlite/job_database.hpp"

namespace export_worker::jobs {

class SqliteOutbox final : public Outbox {
public:
    explicit SqliteOutbox(JobDatabase& database) : database_(database) {}  // Outlives it.

    Result<std::vector<model::Notice>> unpublished_notices() override;
    Result<void> mark_published(std::int64_t last_sequence) override;
    Result<std::size_t> skip_deliveries(std::span<const std::string> receivers) override;
    Result<std::vector<model::Notice>> take_due_notices(std::size_t notices_max) override;
    Result<void> mark_delivery(std::int64_t sequence, Delivery delivery, std::string_view answer,
                               std::int64_t delay_us) override;

private:
    struct Turn {
        std::string organization_id;
        std::int64_t until_us = 0;  // In the registry's own time.
    };
    // Of what is under way at `now_us`, as a JSON array; forgets what took too long. Under mutex_.
    [[nodiscard]] std::string busy_organizations(std::int64_t now_us);
    [[nodiscard]] bool is_taken(std::int64_t sequence) const;
    void end_turn(std::int64_t sequence);

    JobDatabase& database_;
    mutable std::mutex mutex_;
    std::map<std::int64_t, Turn> turns_;  // By the notice's sequence. Guarded by mutex_.
};

}  // namespace export_worker::jobs
