// Members and opaque sessions: durable in MemberRecords and SessionRecords, and complete in memory,
// where requests look them up. A row for a member says more than a token does: its roles count
// instead of the token's, and a member who is not active has no access, whatever token is shown.
//
// Where several daemons share the records, AuthFeed has the memory follow them: a session that
// another daemon has made is accepted here within about a second, and one that it has ended, or the
// access of a member that it has narrowed, is refused here when its call returns.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/crypto/sha256.hpp"
#include "base/result.hpp"
#include "base/text_hash.hpp"
#include "daemon/auth/auth_changes.hpp"
#include "daemon/auth/identity.hpp"
#include "daemon/auth/member_records.hpp"
#include "daemon/auth/page.hpp"
#include "daemon/auth/session_records.hpp"

namespace export_worker::auth {

// [any-thread]
class MemberStore {
public:
    // Reads every member and every session that still counts. All outlive the store.
    [[nodiscard]] static Result<std::unique_ptr<MemberStore>> open(MemberRecords& members,
                                                                   SessionRecords& sessions,
                                                                   const Clock& clock);

    // Makes or changes the member, at once. in_memory_error(): only what it takes away. Errors:
    // kInvalidArgument (subject, organization, roles), kResourceExhausted (kMembersMax) if new.
    [[nodiscard]] Result<void> put(const Member& member);
    // By subject and organization. `organization_id` empty: every organization's.
    [[nodiscard]] Result<Page<Member>> list(std::string_view organization_id,
                                            const PageRequest& page = {});

    struct CreatedSession {
        OpaqueSession session;
        std::string token;  // The only time it exists outside its holder's hands.
    };
    // A session of `subject`, whose memberships are those of the member table when it is shown.
    // Errors: kInvalidArgument (subject, length), kNotFound for an unknown subject,
    // kResourceExhausted (kSessionsMax).
    [[nodiscard]] Result<CreatedSession> create_session(std::string_view subject,
                                                        std::chrono::seconds length);
    // kNotFound for an unknown id; ending one twice is fine. in_memory_error(): until a restart.
    [[nodiscard]] Result<void> revoke_session(std::string_view id);
    // Those that still count, oldest first.
    [[nodiscard]] Result<Page<OpaqueSession>> list_sessions(const PageRequest& page = {});

    // The text contains a token that was made here, or looks so.
    [[nodiscard]] static bool has_own_token(std::string_view text);
    // Whose session the token of this SHA-256 is; its memberships are left empty. nullopt when it
    // is unknown, ended or too old.
    [[nodiscard]] std::optional<Identity> find_session(
        const crypto::Sha256Digest& token_sha256) const;
    // What the table says of the subject in the organization; nullopt: nothing.
    [[nodiscard]] std::optional<Member> find(std::string_view subject,
                                             std::string_view organization_id) const;
    // The subject's rows.
    [[nodiscard]] std::vector<Member> of(std::string_view subject) const;

    // Takes over what has changed in the records. From the first call on nothing else adds to
    // memory. What was taken away in memory only stays so until the member is put again.
    void apply(const AuthChanges& changes);

private:
    struct Session {
        std::string subject;
        std::int64_t expires_us = 0;
    };

    MemberStore(MemberRecords& members, SessionRecords& sessions, const Clock& clock)
        : member_records_(members), session_records_(sessions), clock_(clock) {}
    [[nodiscard]] Result<void> load();
    // All with mutex_ held.
    void keep(const Member& member);
    void keep(const SessionChange& session);
    void forget_unwritten(const Member& member);
    void restore_unwritten();

    MemberRecords& member_records_;
    SessionRecords& session_records_;
    const Clock& clock_;
    mutable std::shared_mutex mutex_;
    ByText<std::vector<Member>> members_;  // By subject. Guarded by mutex_.
    std::size_t member_count_ = 0;         // Guarded by mutex_.
    // By the token's SHA-256: a map's comparison may end early, but nobody can steer a digest
    // towards another one. Guarded by mutex_.
    ByText<Session> sessions_;
    // What is in memory only, guarded by mutex_: members as they were to be, sessions' ids.
    std::vector<Member> unwritten_members_;
    std::set<std::string, std::less<>> unwritten_sessions_;
    bool is_fed_ = false;  // By apply(). Guarded by mutex_.
};

}  // namespace export_worker::auth
