// Has the memory of KeyStore and MemberStore follow the records: what another daemon adds, changes
// or takes away.
#pragma once

#include <memory>

#include "base/result.hpp"
#include "daemon/auth/auth_changes.hpp"
#include "daemon/auth/auth_store.hpp"
#include "daemon/auth/key_store.hpp"
#include "daemon/auth/member_store.hpp"

namespace export_worker::auth {

// [any-thread]
class AuthFeed final : public AuthFollower {
public:
    // What was changed since `store` was opened is in memory when it returns; nothing is to be
    // verified before. Of records that one process has, there is nothing to follow. All outlive the
    // feed. Errors: those of reads.
    [[nodiscard]] static Result<std::unique_ptr<AuthFeed>> open(AuthStore& store, KeyStore& keys,
                                                                MemberStore& members);
    ~AuthFeed() override;
    AuthFeed(const AuthFeed&) = delete;
    AuthFeed& operator=(const AuthFeed&) = delete;

    void apply(const AuthChanges& changes) override;

private:
    AuthFeed(AuthStore& store, KeyStore& keys, MemberStore& members)
        : store_(store), keys_(keys), members_(members) {}

    AuthStore& store_;
    KeyStore& keys_;
    MemberStore& members_;
};

}  // namespace export_worker::auth
