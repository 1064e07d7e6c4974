// The members, in the schema that daemons share.
#pragma once

#include <vector>

#include "daemon/auth/member_records.hpp"
#include "daemon/auth/postgres/auth_database.hpp"

namespace export_worker::auth::pg {

class PostgresMemberRecords final : public MemberRecords {
public:
    // `database` outlives it.
    explicit PostgresMemberRecords(AuthDatabase& database) : database_(database) {}

    Result<std::vector<Member>> all() override;
    Result<void> put(const Member& member, std::int64_t now_us) override;
    Result<std::vector<Member>> list(std::string_view organization_id, const MemberCursor& after,
                                     std::size_t rows_max) override;

private:
    AuthDatabase& database_;
};

// Members whose version is above `since`; `is_whole`: all instead.
[[nodiscard]] Result<std::vector<Member>> changed_members(postgres::Connection& connection,
                                                          std::int64_t since, bool is_whole);

}  // namespace export_worker::auth::pg
