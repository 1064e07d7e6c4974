#include "daemon/jobs/sqlite/sqlite_job_events.hpp"

#include "daemon/jobs/sqlite/job_rows.hpp"

namespace export_worker::jobs {

Result<void> SqliteJobEvents::add_events(std::span<const NewEvent> events) {
    return database_.write([&](sqlite::Connection& connection, const Now& at) -> Result<void> {
        for (const NewEvent& event : events) EW_CHECK(append_event(connection, event, at));
        return {};
    });
}

}  // namespace export_worker::jobs
