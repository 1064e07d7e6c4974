// Events that happened outside of the store: a link, a download.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/result.hpp"

namespace export_worker::jobs {

struct NewEvent {
    std::string job_id;
    std::string kind;
    std::string actor;
    std::string detail;
    std::int64_t count = 1;
};

class JobEvents {
public:
    virtual ~JobEvents() = default;

    // Adds events; those of unknown jobs are dropped. The same kind by the same actor within
    // kJobEventMerge, or beyond kJobEventsMax events, is counted on the event that is there.
    // Errors: those of job_store.hpp. [any-thread], durable when it returns.
    [[nodiscard]] virtual Result<void> add_events(std::span<const NewEvent> events) = 0;
};

}  // namespace export_worker::jobs
