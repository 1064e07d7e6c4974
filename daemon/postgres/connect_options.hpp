// Where a PostgreSQL database is, and how to talk to it.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace export_worker::postgres {

enum class Pooler : std::uint8_t {
    kNone,         // Sessions are this process's: statements are prepared once.
    kTransaction,  // PgBouncer's transaction mode: nothing outlives a transaction.
};

struct ConnectOptions {
    // As libpq takes it (keywords or a URI), without a password: "host=db1,db2 dbname=exports".
    std::string conninfo;
    std::string password_file =
        {};  // Empty: none. Of this user, mode 0600; read for each connection.
    std::string schema = "export_worker";
    std::string application_name = "export-worker";
    Pooler pooler = Pooler::kNone;
    // More settings of each session, or other values of its own: name and literal.
    std::vector<std::pair<std::string, std::string>> settings = {};
};

// What libpq is to be given, in its order. Errors: kInvalidArgument (not libpq's format, or a
// password in it; a schema that is no identifier), kFailedPrecondition (password file).
using Keywords = std::vector<std::pair<std::string, std::string>>;
[[nodiscard]] Result<Keywords> connect_keywords(const ConnectOptions& options);
// The settings of a session, as SET and SET LOCAL take them: name and literal.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> session_settings(
    const ConnectOptions& options);

}  // namespace export_worker::postgres
