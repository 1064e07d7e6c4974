// Which files the registry knows: intended, live, expiring. Private to daemon/jobs; the functions
// are those of JobStore, each on the connection it is given.
#pragma once

#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

[[nodiscard]] Result<std::vector<PublishedFile>> published_files(sqlite::Connection& connection,
                                                                 const model::FileKey& after);
[[nodiscard]] Result<std::vector<UnpublishedFile>> unpublished_files(
    sqlite::Connection& connection);
[[nodiscard]] Result<void> forget_file(sqlite::Connection& connection, const model::FileKey& key);
[[nodiscard]] Result<bool> is_orphan(sqlite::Connection& connection, const model::FileKey& key,
                                     std::string_view job_id);

}  // namespace export_worker::jobs
