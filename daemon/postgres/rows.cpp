#include "daemon/postgres/rows.hpp"

#include <libpq-fe.h>

#include <cstdlib>

#include "base/assert.hpp"
#include "daemon/postgres/type_ids.hpp"

namespace export_worker::postgres {

bool Row::is_null(int column) const {
    EW_ASSERT(column >= 0 && column < PQnfields(result_));
    return PQgetisnull(result_, index_, column) != 0;
}

std::int64_t Row::number(int column) const {
    EW_ASSERT(!is_null(column) && PQfformat(result_, column) == 1);
    const int bytes = PQgetlength(result_, index_, column);
    const char* data = PQgetvalue(result_, index_, column);
    std::uint64_t out = bytes > 0 && (data[0] & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    for (int at = 0; at < bytes; ++at) out = out << 8 | static_cast<unsigned char>(data[at]);
    return static_cast<std::int64_t>(out);
}

std::int64_t Row::integer(int column) const {
    const unsigned type = PQftype(result_, column);
    EW_ASSERT(type == kBigint || type == kInteger || type == kSmallint);
    return number(column);
}

std::optional<std::int64_t> Row::optional_integer(int column) const {
    return is_null(column) ? std::nullopt : std::optional(integer(column));
}

bool Row::boolean(int column) const {
    EW_ASSERT(PQftype(result_, column) == kBoolean);
    return number(column) != 0;
}

std::int64_t Row::unix_us(int column) const {
    EW_ASSERT(PQftype(result_, column) == kTimestamptz);
    return number(column) + kEpochUnixUs;
}

std::optional<std::int64_t> Row::optional_unix_us(int column) const {
    return is_null(column) ? std::nullopt : std::optional(unix_us(column));
}

std::string_view Row::text(int column) const {
    EW_ASSERT(!is_null(column) && PQftype(result_, column) == kText);
    return {PQgetvalue(result_, index_, column),
            static_cast<std::size_t>(PQgetlength(result_, index_, column))};
}

std::optional<std::string> Row::optional_string(int column) const {
    return is_null(column) ? std::nullopt : std::optional(string(column));
}

int Rows::size() const {
    return PQntuples(result_.get());
}

Row Rows::operator[](int index) const {
    EW_ASSERT(index >= 0 && index < size());
    return {result_.get(), index};
}

std::int64_t Rows::changed() const {
    return std::strtoll(PQcmdTuples(result_.get()), nullptr, 10);
}

std::string_view Rows::command() const {
    return PQcmdStatus(result_.get());
}

std::int64_t Rows::text_integer() const {
    EW_ASSERT(size() == 1 && PQfformat(result_.get(), 0) == 0);
    return std::strtoll(PQgetvalue(result_.get(), 0, 0), nullptr, 10);
}

void Rows::clear(pg_result* result) {
    PQclear(result);
}

}  // namespace export_worker::postgres
