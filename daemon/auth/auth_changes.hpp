// What has changed in the records of keys, members and sessions, for who keeps them in memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "daemon/auth/key_records.hpp"
#include "daemon/auth/member_records.hpp"

namespace export_worker::auth {

struct SessionChange {
    std::string sha256;  // 32 bytes, of the token.
    std::string subject;
    std::int64_t expires_us = 0;
    bool revoked = false;
};

// Rows as they are now.
struct AuthChanges {
    // True: all rows that are not revoked; what is not here is over. False: only these were
    // changed.
    bool is_whole = false;
    std::vector<StoredKey> keys;
    std::vector<Member> members;
    std::vector<SessionChange> sessions;
};

class AuthFollower {
public:
    virtual ~AuthFollower() = default;
    // One call at a time, in the order of the changes; some come twice. Asks no records.
    virtual void apply(const AuthChanges& changes) = 0;
};

}  // namespace export_worker::auth
