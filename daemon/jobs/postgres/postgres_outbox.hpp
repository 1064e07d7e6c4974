// The notices that wait in PostgreSQL.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "daemon/jobs/outbox.hpp"
#include "daemon/jobs/postgres/job_database.hpp"

namespace export_worker::jobs::pg {

class PostgresOutbox final : public Outbox {
public:
    explicit PostgresOutbox(JobDatabase& database) : database_(database) {}  // Outlives it.

    Result<std::vector<model::Notice>> unpublished_notices() override;
    Result<void> mark_published(std::int64_t last_sequence) override;
    Result<std::vector<model::Notice>> due_notices() override;
    Result<void> mark_delivery(std::int64_t sequence, Delivery delivery, std::string_view answer,
                               std::int64_t delay_us) override;

private:
    JobDatabase& database_;
};

}  // namespace export_worker::jobs::pg
