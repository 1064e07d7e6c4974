// The keys of export files, which name the job, its epoch and the claim.
#pragma once

#include <string>
#include <string_view>

#include "daemon/jobs/job_queue.hpp"
#include "daemon/model/file.hpp"

namespace export_worker::jobs {

// "ORGANIZATION/JOB.EPOCH-CLAIM.csv": no other attempt has it, of this life or of one before a
// restored backup.
[[nodiscard]] model::FileKey file_key(const ClaimedJob& job, std::string_view extension);
// JOB of such a key, and of "ORGANIZATION/JOB.EPOCH.csv", which version 0.1 made; empty for a key
// no export has.
[[nodiscard]] std::string job_id_of(std::string_view key);
// The same for the place of a file in any store and spelling: its last two segments,
// percent-decoded, are a key.
[[nodiscard]] std::string job_id_of_url(std::string_view file_url);

}  // namespace export_worker::jobs
