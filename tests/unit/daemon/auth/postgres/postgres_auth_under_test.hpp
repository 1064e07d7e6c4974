// PostgreSQL's store of keys, members and sessions, with the membership that it needs.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "daemon/auth/postgres/postgres_auth_store.hpp"
#include "daemon/cluster/membership.hpp"
#include "tests/unit/daemon/auth/auth_store_under_test.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::auth {

inline std::unique_ptr<cluster::Membership> join_cluster(const postgres::DatabaseOptions& options,
                                                         const Clock& clock) {
    auto joined = cluster::Membership::join({.database = options, .name = "test"}, clock);
    EXPECT_TRUE(joined) << joined.error().message;
    return joined ? std::move(*joined) : nullptr;
}

// The store of a daemon with its membership.
class JoinedAuthStore final : public AuthStore {
public:
    static std::unique_ptr<AuthStore> open(const postgres::DatabaseOptions& options) {
        auto membership = join_cluster(options, system_clock());
        if (!membership) return nullptr;
        auto store = open_postgres_auth_store(options, *membership);
        EXPECT_TRUE(store) << store.error().message;
        if (!store) return nullptr;
        return std::unique_ptr<AuthStore>(
            new JoinedAuthStore(std::move(membership), std::move(*store)));
    }
    KeyRecords& keys() override { return store_->keys(); }
    MemberRecords& members() override { return store_->members(); }
    SessionRecords& sessions() override { return store_->sessions(); }
    Result<void> backup(const std::string& path, const std::function<bool()>& keep_going) override {
        return store_->backup(path, keep_going);
    }
    Result<void> compact(std::chrono::milliseconds pause_max,
                         const std::function<bool()>& keep_going) override {
        return store_->compact(pause_max, keep_going);
    }
    Problem problem() const override { return store_->problem(); }
    std::uint64_t write_errors() const override { return store_->write_errors(); }

private:
    JoinedAuthStore(std::unique_ptr<cluster::Membership> membership,
                    std::unique_ptr<AuthStore> store)
        : membership_(std::move(membership)), store_(std::move(store)) {}

    const std::unique_ptr<cluster::Membership> membership_;
    const std::unique_ptr<AuthStore> store_;
};

// A schema for each directory.
inline std::unique_ptr<AuthStore> open_in_schema_of(const std::string& directory) {
    static std::map<std::string, postgres::DatabaseOptions> schemas;
    std::string why_not;
    auto known = schemas.find(directory);
    if (known == schemas.end())
        known =
            schemas.emplace(directory, testing::PostgresServer::get(why_not)->new_schema()).first;
    return JoinedAuthStore::open(known->second);
}

inline std::string why_no_postgres() {
    std::string why_not;
    (void)testing::PostgresServer::get(why_not);
    return why_not;
}

inline AuthStoreUnderTest postgres_auth_store() {
    return {.name = "PostgreSQL", .open = open_in_schema_of, .why_not = why_no_postgres};
}

}  // namespace export_worker::auth
