#include "daemon/jobs/event_page.hpp"

#include <cstddef>
#include <utility>

namespace export_worker::jobs {
namespace {

using model::JobEvent;

// A place in the list of a job's events: behind so many of what it went through and behind this row
// of its links and downloads.
struct Place {
    static constexpr int kEventBits = 20;
    std::int64_t event = 0;
    std::int64_t access = 0;
    explicit Place(std::int64_t number)
        : event(number & ((std::int64_t{1} << kEventBits) - 1)), access(number >> kEventBits) {}
    [[nodiscard]] std::int64_t number() const { return (access << kEventBits) | event; }
};

// Adds `events` to the page, as far as it has room; false: it is full.
bool add_to_page(std::vector<JobEvent> events, std::size_t& bytes, Page<JobEvent>& page) {
    for (JobEvent& event : events) {
        page.more = true;
        bytes += event.actor.size() + event.detail.size();
        const bool full =
            page.items.size() == limits::kJobEventsPage || bytes > limits::kJobsPageBytesMax;
        if (full && !page.items.empty()) return false;
        page.items.push_back(std::move(event));
    }
    page.more = false;
    return true;
}

}  // namespace

Result<Page<JobEvent>> event_page(std::int64_t after, const std::string& trace_id,
                                  const ReadEventRows& read_events,
                                  const ReadEventRows& read_accesses) {
    Place place(after);
    EW_TRY(std::vector<JobEvent> events, read_events(place.event));
    for (JobEvent& event : events) {
        place.event = event.number;
        event.number = place.number();
    }
    Page<JobEvent> page;
    std::size_t bytes = 0;
    if (add_to_page(std::move(events), bytes, page)) {
        EW_TRY(std::vector<JobEvent> accesses, read_accesses(place.access));
        for (JobEvent& access : accesses) {
            place.access = access.number;
            access.number = place.number();
        }
        add_to_page(std::move(accesses), bytes, page);
    }
    for (JobEvent& event : page.items) event.trace_id = trace_id;
    return page;
}

}  // namespace export_worker::jobs
