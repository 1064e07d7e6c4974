#include "daemon/sqlite/integrity.hpp"

#include <cstdint>
#include <memory>

#include "daemon/sqlite/connection.hpp"

namespace export_worker::sqlite {

Result<void> check_integrity(const std::string& path) {
    EW_TRY(const std::unique_ptr<Connection> connection,
           Connection::open(path, Connection::Mode::kQueryOnly));
    // As a query, which a damaged schema makes fail; a compiled statement may not.
    const auto damages = connection->query_integer(
        "SELECT count(*) FROM pragma_quick_check(1) WHERE quick_check <> 'ok'");
    if (damages && *damages == 0) return {};
    return fail(ErrorCode::kDataLoss,
                path + ": expected a whole database, found damaged pages; use another backup");
}

Result<bool> has_tables(const std::string& path) {
    EW_TRY(const std::unique_ptr<Connection> connection,
           Connection::open(path, Connection::Mode::kQueryOnly));
    EW_TRY(const std::int64_t tables,
           connection->query_integer("SELECT count(*) FROM sqlite_schema"));
    return tables > 0;
}

}  // namespace export_worker::sqlite
