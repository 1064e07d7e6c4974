// The members, in auth.db.
#pragma once

#include "daemon/auth/member_records.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::auth {

class SqliteMemberRecords final : public MemberRecords {
public:
    // `database` outlives it.
    explicit SqliteMemberRecords(sqlite::Database& database) : database_(database) {}

    Result<std::vector<Member>> all() override;
    Result<void> put(const Member& member, std::int64_t now_us) override;
    Result<std::vector<Member>> list(std::string_view organization_id, const MemberCursor& after,
                                     std::size_t rows_max) override;

private:
    sqlite::Database& database_;
};

}  // namespace export_worker::auth
