// Links and downloads: what happens to a job as often as anybody asks.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.hpp"

namespace export_worker::jobs {

struct JobAccess {
    std::string job_id;
    std::string kind;   // "link_minted", "downloaded"
    std::string actor;  // Who asked.
    std::int64_t count = 1;
};

class JobAccesses {
public:
    virtual ~JobAccesses() = default;

    // Counts them, by job, kind, actor and minute; JobReader::events() shows them. Those of unknown
    // jobs are shown to nobody. Writes at most kAccessesBatch at once, so that other writes get
    // their turn: after an error the first of them may be counted.
    // Errors: those of job_store.hpp. [any-thread], durable when it returns.
    [[nodiscard]] virtual Result<void> add(std::span<const JobAccess> accesses) = 0;
};

}  // namespace export_worker::jobs
