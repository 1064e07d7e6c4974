#include "daemon/postgres/connect_options.hpp"

#include <libpq-fe.h>

#include <algorithm>
#include <memory>

#include "base/io.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/postgres/limits.hpp"

namespace export_worker::postgres {
namespace {

constexpr std::size_t kIdentifierBytesMax = 63;  // NAMEDATALEN - 1

bool is_identifier(std::string_view text) {
    return !text.empty() && text.size() <= kIdentifierBytesMax &&
           std::ranges::all_of(text, [](char each) {
               return (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z') ||
                      (each >= '0' && each <= '9') || each == '_' || each == '-';
           });
}

// The options that an operator has put into `conninfo`; ours are added to them. Errors:
// kInvalidArgument.
Result<std::string> check_conninfo(const std::string& conninfo) {
    char* complaint = nullptr;
    const std::unique_ptr<PQconninfoOption, void (*)(PQconninfoOption*)> parsed(
        PQconninfoParse(conninfo.c_str(), &complaint), &PQconninfoFree);
    const std::unique_ptr<char, void (*)(void*)> freed(complaint, &PQfreemem);
    if (!parsed) {
        return fail(
            ErrorCode::kInvalidArgument,
            "conninfo: " + printable(without_line_end(complaint ? complaint : "no memory"), 200));
    }
    std::string options;
    for (const PQconninfoOption* each = parsed.get(); each->keyword != nullptr; ++each) {
        if (each->val == nullptr) continue;
        const std::string_view keyword = each->keyword;
        if (keyword == "password")
            return fail(ErrorCode::kInvalidArgument,
                        "conninfo: found a password; put it into password_file");
        if (keyword == "options") options = each->val;
    }
    return options;
}

std::string seconds(std::chrono::seconds length) {
    return std::to_string(length.count());
}

}  // namespace

std::vector<std::pair<std::string, std::string>> session_settings(const ConnectOptions& options) {
    const auto ms = [](std::chrono::milliseconds length) { return std::to_string(length.count()); };
    std::vector<std::pair<std::string, std::string>> out{
        {"search_path", '"' + options.schema + '"'},
        {"statement_timeout", ms(limits::kPostgresStatementTimeout)},
        {"lock_timeout", ms(limits::kPostgresLockTimeout)},
        {"idle_in_transaction_session_timeout", ms(limits::kPostgresIdleTransactionTimeout)},
        {"default_transaction_isolation", "read\\ committed"},
        {"synchronous_commit", "on"}};
    out.insert(out.end(), options.settings.begin(), options.settings.end());
    return out;
}

Result<Keywords> connect_keywords(const ConnectOptions& options) {
    if (!is_identifier(options.schema))
        return fail(ErrorCode::kInvalidArgument,
                    "schema: expected at most 63 letters, digits, _ and -, found '" +
                        printable(options.schema) + "'");
    EW_TRY(std::string session, check_conninfo(options.conninfo));
    // What stands before dbname is a default, what stands behind it counts whatever conninfo says.
    Keywords out{{"connect_timeout", seconds(limits::kPostgresConnectTimeout)},
                 {"keepalives_idle", seconds(limits::kPostgresKeepaliveIdle)},
                 {"tcp_user_timeout", std::to_string(limits::kPostgresTcpUserTimeout.count())},
                 {"target_session_attrs", "read-write"},
                 {"application_name", options.application_name},
                 {"dbname", options.conninfo},
                 {"client_encoding", "UTF8"}};
    if (options.pooler == Pooler::kNone) {
        for (const auto& [name, value] : session_settings(options))
            session.append(" -c ").append(name).append("=").append(value);
        out.emplace_back("options", session);
    }
    if (!options.password_file.empty()) {
        EW_TRY(std::string password,
               read_secret_file(options.password_file, limits::kSecretFileBytesMax));
        out.emplace_back("password", without_line_end(std::move(password)));
    }
    return out;
}

}  // namespace export_worker::postgres
