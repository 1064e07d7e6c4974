// The notices that wait in PostgreSQL, for several daemons: each publishes all of them, and one of
// them delivers each.
//
// What was published is a number in memory. A delivery under way is a row of delivery_turn, one for
// an organization, which a transaction takes before it looks which notice is due: two daemons
// never have two notices of one organization, whatever either saw before.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/jobs/outbox.hpp"
#include "daemon/jobs/postgres/job_database.hpp"

namespace export_worker::jobs::pg {

class PostgresOutbox final : public Outbox {
public:
    explicit PostgresOutbox(JobDatabase& database);  // Outlives it.
    // What is committed by now counts as published. Once, before everything else. Errors: those of
    // writes.
    [[nodiscard]] Result<void> begin();

    Result<std::vector<model::Notice>> unpublished_notices() override;
    Result<void> mark_published(std::int64_t last_sequence) override;
    Result<std::size_t> skip_deliveries(std::span<const std::string> receivers) override;
    Result<std::vector<model::Notice>> take_due_notices(std::size_t notices_max) override;
    Result<void> mark_delivery(std::int64_t sequence, Delivery delivery, std::string_view answer,
                               std::int64_t delay_us) override;

private:
    JobDatabase& database_;
    const std::string holder_;                // Of this object's deliveries.
    std::atomic<std::int64_t> published_{0};  // The last number.
};

}  // namespace export_worker::jobs::pg
