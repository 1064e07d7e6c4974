#include "daemon/auth/postgres/postgres_auth_store.hpp"

#include <utility>

#include "daemon/auth/postgres/auth_database.hpp"
#include "daemon/auth/postgres/postgres_key_records.hpp"
#include "daemon/auth/postgres/postgres_member_records.hpp"
#include "daemon/auth/postgres/postgres_session_records.hpp"

namespace export_worker::auth {
namespace {

class PostgresAuthStore final : public AuthStore {
public:
    PostgresAuthStore(std::unique_ptr<pg::AuthDatabase> database, std::string schema)
        : database_(std::move(database)), schema_(std::move(schema)) {}

    KeyRecords& keys() override { return keys_; }
    MemberRecords& members() override { return members_; }
    SessionRecords& sessions() override { return sessions_; }

    Result<void> follow(AuthFollower& follower) override {
        return database_->follower().follow(follower);
    }
    void unfollow() override { database_->follower().unfollow(); }
    bool is_current() const override {
        return database_->membership().is_up_to_date(cluster::ChangeKind::kAuth);
    }

    Result<void> backup(const std::string&, const std::function<bool()>&) override {
        return fail(ErrorCode::kFailedPrecondition,
                    "backup: keys, members and sessions are in PostgreSQL; run pg_dump "
                    "--format=custom --schema=" +
                        schema_ + ", or pg_basebackup for the whole server");
    }
    Result<void> compact(std::chrono::milliseconds, const std::function<bool()>&) override {
        return fail(ErrorCode::kFailedPrecondition,
                    "compact: keys, members and sessions are in PostgreSQL, whose autovacuum "
                    "reuses free space; run VACUUM (FULL) on a table to give it back to the disk");
    }
    Problem problem() const override { return database_->database().problem(); }
    std::uint64_t write_errors() const override { return database_->database().write_errors(); }

private:
    const std::unique_ptr<pg::AuthDatabase> database_;
    const std::string schema_;
    pg::PostgresKeyRecords keys_{*database_};
    pg::PostgresMemberRecords members_{*database_};
    pg::PostgresSessionRecords sessions_{*database_};
};

}  // namespace

Result<std::unique_ptr<AuthStore>> open_postgres_auth_store(
    const postgres::DatabaseOptions& options, cluster::Membership& membership) {
    EW_TRY(std::unique_ptr<pg::AuthDatabase> database, pg::AuthDatabase::open(options, membership));
    return std::unique_ptr<AuthStore>(
        std::make_unique<PostgresAuthStore>(std::move(database), options.connect.schema));
}

}  // namespace export_worker::auth
