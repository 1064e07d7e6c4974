#include "daemon/auth/page.hpp"

#include "base/text.hpp"

namespace export_worker::auth {

Result<AgeCursor> AgeCursor::parse(std::string_view text) {
    if (text.empty()) return AgeCursor();
    const std::size_t blank = text.find(' ');
    const auto created = parse_unsigned(text.substr(0, blank));
    if (blank == std::string_view::npos || !created || *created > INT64_MAX)
        return fail(ErrorCode::kInvalidArgument,
                    "after: expected `next` of the page before, found '" + printable(text) + "'");
    return AgeCursor{static_cast<std::int64_t>(*created), std::string(text.substr(blank + 1))};
}

Result<void> check_page(const PageRequest& page) {
    if (page.rows_max >= 1 && page.rows_max <= limits::kPageRowsMax) return {};
    return fail(ErrorCode::kInvalidArgument, "limit: expected 1 to " +
                                                 std::to_string(limits::kPageRowsMax) + ", found " +
                                                 std::to_string(page.rows_max));
}

}  // namespace export_worker::auth
