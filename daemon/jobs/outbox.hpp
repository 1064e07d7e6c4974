// The notices that the outside is still to be told. [any-thread], durable when they return.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/model/job.hpp"

namespace export_worker::jobs {

// Errors: those of job_store.hpp.
class Outbox {
public:
    virtual ~Outbox() = default;

    // Those that were not published yet, oldest first, at most kNoticesPage.
    [[nodiscard]] virtual Result<std::vector<model::Notice>> unpublished_notices() = 0;
    [[nodiscard]] virtual Result<void> mark_published(std::int64_t last_sequence) = 0;
    // Those whose delivery is due, oldest first, at most kNoticesPage.
    [[nodiscard]] virtual Result<std::vector<model::Notice>> due_notices() = 0;
    enum class Delivery { kDone, kRetry, kGivenUp };
    // Due again after `delay_us`, if to be tried again.
    [[nodiscard]] virtual Result<void> mark_delivery(std::int64_t sequence, Delivery delivery,
                                                     std::string_view answer,
                                                     std::int64_t delay_us) = 0;
};

}  // namespace export_worker::jobs
