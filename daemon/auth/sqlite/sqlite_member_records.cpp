#include "daemon/auth/sqlite/sqlite_member_records.hpp"

#include "daemon/auth/role_policy.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::auth {
namespace {

using sqlite::Connection;
using sqlite::Statement;

// What read_member() reads.
#define EW_MEMBER_COLUMNS "subject, organization_id, roles, active"

Member read_member(const Statement& row) {
    return {row.string(0), row.string(1), split_words(row.text(2)), row.integer(3) != 0};
}

}  // namespace

Result<std::vector<Member>> SqliteMemberRecords::all() {
    return database_.read([](Connection& connection) {
        Statement rows = connection.statement("SELECT " EW_MEMBER_COLUMNS " FROM member");
        return sqlite::read_all(rows, read_member);
    });
}

Result<void> SqliteMemberRecords::put(const Member& member, std::int64_t now_us) {
    return database_.write([&](Connection& connection) {
        return connection
            .statement(
                "INSERT INTO member (subject, organization_id, roles, active, changed_us) "
                "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET roles = "
                "excluded.roles, active = excluded.active, changed_us = excluded.changed_us")
            .bind(member.subject, member.organization_id, join_words(member.roles),
                  member.active ? 1 : 0, now_us)
            .run();
    });
}

Result<std::vector<Member>> SqliteMemberRecords::list(std::string_view organization_id,
                                                      const MemberCursor& after,
                                                      std::size_t rows_max) {
    return database_.read([&](Connection& connection) {
        Statement rows =
            connection.statement("SELECT " EW_MEMBER_COLUMNS
                                 " FROM member WHERE (organization_id, subject) > (?2, ?3) AND "
                                 "(?1 = '' OR organization_id = ?1) ORDER BY organization_id, "
                                 "subject LIMIT ?4");
        rows.bind(organization_id, after.organization_id, after.subject,
                  static_cast<std::int64_t>(rows_max));
        return sqlite::read_all(rows, read_member);
    });
}

}  // namespace export_worker::auth
