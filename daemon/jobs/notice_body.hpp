// What the outside is told about a job.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/model/job.hpp"

namespace export_worker::jobs {

// The notice of `type` about `job` at `wall_us`, with a new event id; without a sequence.
[[nodiscard]] model::Notice make_notice(const model::Job& job, const char* type,
                                        std::int64_t wall_us);

// How a job that has ended is recorded.
struct EndKinds {
    const char* event;   // "published", "failed", "cancelled"
    const char* notice;  // "job.completed", "job.failed", "job.cancelled"
};
[[nodiscard]] EndKinds end_kinds(model::JobStatus status);

}  // namespace export_worker::jobs
