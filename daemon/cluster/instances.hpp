// The daemons that share the schema, for operators.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::cluster {

// Hex SHA-256s of files that must be the same everywhere, by their names (no line ends).
using FileHashes = std::map<std::string, std::string>;

struct Instance {
    std::string id;
    std::string name;
    std::string version;
    std::int64_t started_us = 0;
    std::chrono::microseconds lease_left{0};  // 0: it is over, and its jobs run elsewhere.
    bool leads = false;
    std::int64_t seen_auth = 0;
    // Its wall clock minus the database's; nullopt: not known yet.
    std::optional<std::chrono::microseconds> clock_offset;
    FileHashes file_hashes;
};

// Oldest first, at most kInstancesListedMax, those whose life is over and who are not forgotten
// yet, too.
[[nodiscard]] Result<std::vector<Instance>> list_instances(postgres::Connection& connection);
// Ends the lease now, and its leadership. Errors: kNotFound.
[[nodiscard]] Result<void> evict_instance(postgres::Connection& connection,
                                          std::string_view instance_id);
// Names of files that living instances do not have alike, in order.
[[nodiscard]] std::vector<std::string> names_of_differing_files(
    const std::vector<Instance>& instances);

// As the column `file_hashes` has them.
[[nodiscard]] std::string encode_file_hashes(const FileHashes& hashes);
[[nodiscard]] FileHashes parse_file_hashes(std::string_view text);

}  // namespace export_worker::cluster
