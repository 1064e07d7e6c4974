#include "daemon/auth/postgres/postgres_member_records.hpp"

#include "daemon/auth/role_policy.hpp"

namespace export_worker::auth::pg {
namespace {

using postgres::Connection;
using postgres::Row;
using postgres::Rows;

// What read_member() reads.
#define EW_PG_MEMBER_COLUMNS "subject, organization_id, roles, active"

Member read_member(const Row& row) {
    return {row.string(0), row.string(1), split_words(row.text(2)), row.boolean(3)};
}

}  // namespace

Result<std::vector<Member>> PostgresMemberRecords::all() {
    return database_.read(
        [](Connection& connection) { return changed_members(connection, 0, true); });
}

Result<std::vector<Member>> changed_members(Connection& connection, std::int64_t since,
                                            bool is_whole) {
    EW_TRY(const Rows rows, is_whole
                                ? connection.query("SELECT " EW_PG_MEMBER_COLUMNS " FROM member")
                                : connection.query("SELECT " EW_PG_MEMBER_COLUMNS
                                                   " FROM member WHERE changed_version > $1",
                                                   since));
    return rows.each(read_member);
}

Result<void> PostgresMemberRecords::put(const Member& member, std::int64_t now_us) {
    return database_.write(Reach::kEveryDaemon, [&](Connection& connection, const Write& write) {
        return connection.change(
            "INSERT INTO member VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (subject, "
            "organization_id) DO UPDATE SET roles = excluded.roles, active = excluded.active, "
            "changed_us = excluded.changed_us, changed_version = excluded.changed_version",
            member.subject, member.organization_id, join_words(member.roles), member.active, now_us,
            write.version);
    });
}

Result<std::vector<Member>> PostgresMemberRecords::list(std::string_view organization_id,
                                                        const MemberCursor& after,
                                                        std::size_t rows_max) {
    return database_.read([&](Connection& connection) -> Result<std::vector<Member>> {
        EW_TRY(const Rows rows,
               connection.query("SELECT " EW_PG_MEMBER_COLUMNS
                                " FROM member WHERE (organization_id, subject) > ($2, $3) AND ($1 "
                                "= '' OR organization_id = $1) ORDER BY organization_id, subject "
                                "LIMIT $4",
                                organization_id, after.organization_id, after.subject,
                                static_cast<std::int64_t>(rows_max)));
        return rows.each(read_member);
    });
}

}  // namespace export_worker::auth::pg
