#include "daemon/migration/copy_rows.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "base/hex.hpp"
#include "base/text.hpp"
#include "daemon/postgres/parameters.hpp"

namespace export_worker::migration {
namespace {

// PostgreSQL, "COPY", "Binary Format": signature, flags, no extension.
constexpr std::string_view kHead("PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0", 19);
constexpr std::string_view kEnd("\xff\xff", 2);
constexpr std::int64_t kEpochUnixUs = 946'684'800'000'000;      // 2000-01-01T00:00:00Z
constexpr std::int64_t kInstantMin = -211'813'488'000'000'000;  // The first of a timestamptz.

template <typename T>
void append_number(std::string& out, T value) {
    for (int shift = (static_cast<int>(sizeof value) - 1) * 8; shift >= 0; shift -= 8)
        out += static_cast<char>(static_cast<std::uint64_t>(value) >> shift);
}

template <typename T>
bool append_field(std::string& out, std::int64_t value) {
    if (value < std::numeric_limits<T>::min() || value > std::numeric_limits<T>::max())
        return false;
    append_number(out, static_cast<std::int32_t>(sizeof(T)));
    append_number(out, static_cast<T>(value));
    return true;
}

std::int64_t instant_of(std::int64_t unix_us) {
    return std::max(unix_us, kInstantMin + kEpochUnixUs) - kEpochUnixUs;
}

}  // namespace

std::string_view copy_head() {
    return kHead;
}
std::string_view copy_end() {
    return kEnd;
}

Result<void> RowEncoder::append(const sqlite::Statement& row, std::string& out) {
    append_number(out, static_cast<std::int16_t>(table_.columns.size()));
    for (int index = 0; index < static_cast<int>(table_.columns.size()); ++index)
        EW_CHECK(append_value(row, index, out));
    return {};
}

Result<void> RowEncoder::append_value(const sqlite::Statement& row, int index, std::string& out) {
    if (row.is_null(index)) {
        append_number(out, std::int32_t{-1});
        return {};
    }
    bool fits = true;
    switch (table_.columns[static_cast<std::size_t>(index)].type) {
        case ColumnType::kText:
        case ColumnType::kKey: return append_text(row, index, out);
        case ColumnType::kBoolean:
            append_number(out, std::int32_t{1});
            out += row.integer(index) != 0 ? '\1' : '\0';
            break;
        case ColumnType::kSmallint:
            fits = append_field<std::int16_t>(out, row.integer(index));
            break;
        case ColumnType::kInteger:
            fits = append_field<std::int32_t>(out, row.integer(index));
            break;
        case ColumnType::kBigint: fits = append_field<std::int64_t>(out, row.integer(index)); break;
        case ColumnType::kInstant:
            fits = append_field<std::int64_t>(out, instant_of(row.integer(index)));
            break;
    }
    if (fits) return {};
    return fail(ErrorCode::kDataLoss, place(row, index) + ": found " +
                                          std::to_string(row.integer(index)) +
                                          ", which its column in PostgreSQL has no room for");
}

Result<void> RowEncoder::append_text(const sqlite::Statement& row, int index, std::string& out) {
    const std::string_view text = row.text(index);
    const bool is_storable = postgres::is_storable(text);
    if (!is_storable && table_.columns[static_cast<std::size_t>(index)].type == ColumnType::kKey)
        return fail(ErrorCode::kInvalidArgument,
                    place(row, index) +
                        ": expected UTF-8 without U+0000, which is all that PostgreSQL can store; "
                        "delete or rename it, and run this again");
    std::string changed;
    if (!is_storable) {
        changed = postgres::storable(text);
        ++replaced_;
    }
    const std::string_view stored = is_storable ? text : std::string_view(changed);
    append_number(out, static_cast<std::int32_t>(stored.size()));
    out += stored;
    return {};
}

std::string RowEncoder::place(const sqlite::Statement& row, int index) const {
    std::string out = std::string(name_of(table_.file)) + ": " + table_.name;
    for (int each = 0; each < 2 && each < static_cast<int>(table_.columns.size()); ++each)
        out += (each == 0 ? " '" : ", '") + printable(row.text(each)) + "'";
    return out + ": " + table_.columns[static_cast<std::size_t>(index)].name;
}

void RowHash::take(std::string_view piece) {
    held_ += piece;
    if (!has_head_) {
        if (held_.size() < kHead.size()) return;
        held_.erase(0, kHead.size());
        has_head_ = true;
    }
    if (held_.size() <= kEnd.size()) return;
    const std::size_t rows = held_.size() - kEnd.size();
    hash_.update(std::string_view(held_).substr(0, rows));
    held_.erase(0, rows);
}

std::string RowHash::finish() {
    return to_hex(hash_.finish());
}

}  // namespace export_worker::migration
