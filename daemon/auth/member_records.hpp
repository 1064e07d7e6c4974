// The members as they are kept, for MemberStore. [any-thread], durable when they return.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker::auth {

// A subject in one organization.
struct Member {
    std::string subject;
    std::string organization_id;
    std::vector<std::string> roles;
    bool active = true;
};

// The last row of a page; its start is before every row.
struct MemberCursor {
    std::string_view organization_id;
    std::string_view subject;
};

// Errors: those of auth_store.hpp.
class MemberRecords {
public:
    virtual ~MemberRecords() = default;

    // In any order.
    [[nodiscard]] virtual Result<std::vector<Member>> all() = 0;
    // Adds or changes. Returns once every daemon that shares the records goes by it.
    [[nodiscard]] virtual Result<void> put(const Member& member, std::int64_t now_us) = 0;
    // By the bytes of organization and subject, behind `after`, at most `rows_max`.
    // `organization_id` empty: every organization's.
    [[nodiscard]] virtual Result<std::vector<Member>> list(std::string_view organization_id,
                                                           const MemberCursor& after,
                                                           std::size_t rows_max) = 0;
};

}  // namespace export_worker::auth
