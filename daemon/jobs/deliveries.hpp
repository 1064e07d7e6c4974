// What every implementation of Outbox::mark_delivery() says alike.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "daemon/jobs/outbox.hpp"

namespace export_worker::jobs {

// The column notice.delivery after the end of a delivery.
[[nodiscard]] inline const char* delivery_state(Outbox::Delivery delivery) {
    switch (delivery) {
        case Outbox::Delivery::kDone: return "done";
        case Outbox::Delivery::kGivenUp: return "given_up";
        default: return "pending";
    }
}

[[nodiscard]] inline tl::unexpected<Error> not_taken(std::int64_t sequence) {
    return fail(ErrorCode::kConflict,
                "notice " + std::to_string(sequence) +
                    ": its delivery was not under way, or took too long; it is delivered again");
}

}  // namespace export_worker::jobs
