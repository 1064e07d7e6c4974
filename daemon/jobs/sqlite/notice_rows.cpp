#include "daemon/jobs/sqlite/notice_rows.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Statement;

constexpr int kBodyColumn = 5;

model::Notice read_notice(const Statement& row) {
    return {
        row.integer(0), row.string(1),           row.string(2),  row.string(3),
        row.string(4),  row.string(kBodyColumn), row.integer(6), static_cast<int>(row.integer(7))};
}

}  // namespace

Result<Page<model::Notice>> read_notices(Statement& rows) {
    Page<model::Notice> page;
    std::size_t bytes = 0;
    for (;;) {
        EW_TRY(page.more, rows.step());
        if (!page.more || page.items.size() == limits::kNoticesPage) return page;
        bytes += rows.text(kBodyColumn).size();
        if (bytes > limits::kJobsPageBytesMax && !page.items.empty()) return page;
        page.items.push_back(read_notice(rows));
    }
}

}  // namespace export_worker::jobs
