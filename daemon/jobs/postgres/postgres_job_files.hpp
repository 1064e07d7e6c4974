// Which files the registry knows, in PostgreSQL.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "daemon/jobs/job_files.hpp"
#include "daemon/jobs/postgres/job_database.hpp"

namespace export_worker::jobs::pg {

class PostgresJobFiles final : public JobFiles {
public:
    explicit PostgresJobFiles(JobDatabase& database) : database_(database) {}  // Outlives it.

    Result<std::vector<UnpublishedFile>> unpublished_files() override;
    Result<std::vector<model::FileKey>> deletable_files() override;
    Result<void> set_link_lifetime(std::chrono::seconds lifetime) override;
    Result<void> forget_files(std::span<const model::FileKey> keys) override;
    Result<bool> has_files() override;
    Result<bool> is_orphan(const model::FileKey& key, std::string_view job_id) override;
    Result<std::vector<PublishedFile>> published_files(const model::FileKey& after) override;
    Result<void> withdraw_file(const model::FileKey& key, std::string_view reason) override;
    Result<std::optional<std::chrono::microseconds>> oldest_file_age() override;

private:
    JobDatabase& database_;
};

}  // namespace export_worker::jobs::pg
