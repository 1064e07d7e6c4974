// All rows of a statement, one after the other.
#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::sqlite {

// Calls `take(const Statement&)` for each row, which returns nothing or a Result<void> whose error
// ends it. `rows` is bound, and used up afterwards. Errors: as step().
template <typename Take>
[[nodiscard]] Result<void> for_each_row(Statement& rows, Take&& take) {
    for (;;) {
        EW_TRY(const bool more, rows.step());
        if (!more) return {};
        if constexpr (std::is_void_v<std::invoke_result_t<Take, const Statement&>>) {
            take(std::as_const(rows));
        } else {
            EW_CHECK(take(std::as_const(rows)));
        }
    }
}

// What `read(const Statement&)` makes of each row; for statements whose rows have a limit.
template <typename Read>
[[nodiscard]] auto read_all(Statement& rows, Read&& read)
    -> Result<std::vector<std::invoke_result_t<Read, const Statement&>>> {
    std::vector<std::invoke_result_t<Read, const Statement&>> out;
    EW_CHECK(for_each_row(rows, [&](const Statement& row) { out.push_back(read(row)); }));
    return out;
}
// For read_all(): rows of one text.
[[nodiscard]] inline std::string first_text(const Statement& row) {
    return row.string(0);
}
// The first column of all rows, as text.
template <typename... Values>
[[nodiscard]] Result<std::vector<std::string>> select_texts(Connection& connection, const char* sql,
                                                            const Values&... values) {
    Statement rows = connection.statement(sql);
    rows.bind(values...);
    return read_all(rows, first_text);
}

}  // namespace export_worker::sqlite
