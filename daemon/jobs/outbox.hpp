// The notices that the outside is still to be told. [any-thread], durable when they return.
//
// Whoever delivers a notice takes it first, for kDeliveryLease. Until that time is over or the end
// of the delivery is marked, no other notice of its organization is given out, to this process or
// another: a receiver gets its notices one after the other. A crash, or a mark that came too late,
// leads to a second delivery with the same event id.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/model/job.hpp"

namespace export_worker::jobs {

// Errors: those of job_store.hpp.
class Outbox {
public:
    virtual ~Outbox() = default;

    // Those that were not published yet, oldest first, at most kNoticesPage. Several daemons with
    // one registry publish all of them each, from the newest on at the time each store was opened:
    // JobReader::notices() has those that were committed while no daemon ran.
    [[nodiscard]] virtual Result<std::vector<model::Notice>> unpublished_notices() = 0;
    [[nodiscard]] virtual Result<void> mark_published(std::int64_t last_sequence) = 0;

    // Notices of organizations that are not among `receivers` are delivered: no webhook takes them.
    // At most kHousekeepingBatch; returns how many.
    [[nodiscard]] virtual Result<std::size_t> skip_deliveries(
        std::span<const std::string> receivers) = 0;
    // Takes of each organization with no delivery under way the notice that is due longest. At most
    // `notices_max` (at least 1), those due longest first. After kUnknownOutcome some may be taken,
    // which are due again after kDeliveryLease.
    [[nodiscard]] virtual Result<std::vector<model::Notice>> take_due_notices(
        std::size_t notices_max) = 0;
    enum class Delivery : std::uint8_t {
        kDone,
        kRetry,
        kGivenUp,
        kPutBack,  // It was not tried, or not to the end: due as before.
    };
    // The end of a delivery that this store took; due again after `delay_us`, if to be tried again.
    // kConflict: it was not taken, or another delivery of the notice has begun or ended since.
    [[nodiscard]] virtual Result<void> mark_delivery(std::int64_t sequence, Delivery delivery,
                                                     std::string_view answer,
                                                     std::int64_t delay_us) = 0;
};

}  // namespace export_worker::jobs
