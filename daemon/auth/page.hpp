// A part of a list that may be long: how far a caller is, and how to go on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {

struct PageRequest {
    std::string_view after;  // `next` of the page before; empty: from the start.
    std::size_t rows_max = limits::kPageRowsMax;  // 1 to kPageRowsMax.
};

template <typename Row>
struct Page {
    std::vector<Row> rows;
    std::string next;  // Empty: this is the end.
};

// The end of a page of what is listed oldest first; the start of all is before every row.
struct AgeCursor {
    std::int64_t created_us = INT64_MIN;
    std::string id;

    [[nodiscard]] std::string text() const { return std::to_string(created_us) + " " + id; }
    // Errors: kInvalidArgument for a text that is neither empty nor one of text().
    [[nodiscard]] static Result<AgeCursor> parse(std::string_view text);
};

// `rows` has one row more than `rows_max` when there are more; `cursor_of` names a row.
template <typename Row, typename CursorOf>
[[nodiscard]] Page<Row> make_page(std::vector<Row> rows, std::size_t rows_max,
                                  CursorOf&& cursor_of) {
    Page<Row> out{std::move(rows), {}};
    if (out.rows.size() <= rows_max) return out;
    out.rows.resize(rows_max);
    out.next = cursor_of(out.rows.back());
    return out;
}
// Errors: kInvalidArgument when rows_max is out of its bounds.
[[nodiscard]] Result<void> check_page(const PageRequest& page);

}  // namespace export_worker::auth
