#include "daemon/auth/member_store.hpp"

#include <algorithm>
#include <array>
#include <mutex>

#include "base/base64.hpp"
#include "base/crypto/random.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "base/in_memory_error.hpp"
#include "base/text.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {
namespace {

constexpr std::size_t kSessionIdDigits = 16;
constexpr std::size_t kTokenBytes = 32;
constexpr std::string_view kTokenPrefix = "mos_";  // Tokens made before it existed have none.

bool is_subject(std::string_view text) {
    return !text.empty() && text.size() <= limits::kSubjectBytesMax && is_valid_utf8(text) &&
           !has_control_characters(text);
}

Result<void> check(const Member& member) {
    if (!is_subject(member.subject))
        return invalid_argument("subject: expected 1 to " +
                                std::to_string(limits::kSubjectBytesMax) + " bytes of text");
    if (!is_organization_id(member.organization_id))
        return invalid_argument("organization: expected 1 to 64 of A-Z a-z 0-9 . _ -, found '" +
                                printable(member.organization_id) + "'");
    for (const std::string& role : member.roles) {
        if (!is_organization_id(role))
            return invalid_argument("role: expected 1 to 64 of A-Z a-z 0-9 . _ -, found '" +
                                    printable(role) + "'");
    }
    if (member.roles.size() > limits::kMemberRolesMax)
        return invalid_argument("roles: expected at most " +
                                std::to_string(limits::kMemberRolesMax));
    return {};
}

std::string session_id(std::string_view digest) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(digest.data());
    return to_hex({bytes, digest.size()}).substr(0, kSessionIdDigits);
}

// Longer than an id: perhaps a token from before they had a prefix.
tl::unexpected<Error> unknown_session(std::string_view id) {
    if (id.size() > kSessionIdDigits || MemberStore::has_own_token(id))
        return fail(ErrorCode::kNotFound, "id: expected a session's id of " +
                                              std::to_string(kSessionIdDigits) + " digits, found " +
                                              std::to_string(id.size()) +
                                              " characters; exportctl session list shows it");
    return fail(ErrorCode::kNotFound, "No session has the id '" + printable(id) + "'");
}

bool is_same(const Member& one, const Member& other) {
    return one.subject == other.subject && one.organization_id == other.organization_id;
}

// What is left in memory when `wanted` could not be written: `known`, less what `wanted` takes
// away. nullopt: it takes nothing away.
std::optional<Member> narrowed(const std::optional<Member>& known, const Member& wanted) {
    if (!known) return wanted.active ? std::nullopt : std::optional(wanted);
    Member left = *known;
    left.active = known->active && wanted.active;
    const auto lost = std::erase_if(left.roles, [&](const std::string& role) {
        return std::ranges::find(wanted.roles, role) == wanted.roles.end();
    });
    if (lost == 0 && left.active == known->active) return std::nullopt;
    return left;
}

}  // namespace

Result<std::unique_ptr<MemberStore>> MemberStore::open(MemberRecords& members,
                                                       SessionRecords& sessions,
                                                       const Clock& clock) {
    std::unique_ptr<MemberStore> store(new MemberStore(members, sessions, clock));
    EW_CHECK(store->load());
    return store;
}

Result<void> MemberStore::load() {
    EW_TRY(std::vector<Member> members, member_records_.all());
    member_count_ = members.size();
    for (Member& member : members) members_[member.subject].push_back(std::move(member));
    EW_TRY(std::vector<StoredSession> sessions, session_records_.active(clock_.unix_us()));
    for (StoredSession& each : sessions) {
        sessions_.emplace(std::move(each.sha256),
                          Session{std::move(each.session.subject), each.session.expires_us});
    }
    return {};
}

Result<void> MemberStore::put(const Member& member) {
    EW_CHECK(check(member));
    // A member who exists can be changed even when the table is full.
    if (!find(member.subject, member.organization_id)) {
        const std::shared_lock lock(mutex_);
        if (member_count_ >= limits::kMembersMax)
            return fail(ErrorCode::kResourceExhausted, "members: the limit is reached");
    }
    auto written = member_records_.put(member, clock_.unix_us());
    const auto now = written ? std::optional(member)
                             : narrowed(find(member.subject, member.organization_id), member);
    if (!now) return written;
    {
        const std::unique_lock lock(mutex_);
        forget_unwritten(member);
        if (!written) unwritten_members_.push_back(member);
        if (!written || !is_fed_) keep(*now);
    }
    if (written) return {};
    return fail(in_memory_error("The member '" + printable(member.subject) + "' " +
                                    (now->active ? "loses the roles" : "is refused"),
                                written.error()));
}

Result<Page<Member>> MemberStore::list(std::string_view organization_id, const PageRequest& page) {
    EW_CHECK(check_page(page));
    // "ORGANIZATION SUBJECT": an organization's id has no blank.
    const std::size_t blank = std::min(page.after.find(' '), page.after.size());
    const MemberCursor after{page.after.substr(0, blank),
                             page.after.substr(std::min(blank + 1, page.after.size()))};
    EW_TRY(std::vector<Member> members,
           member_records_.list(organization_id, after, page.rows_max + 1));
    for (Member& member : members)
        member = find(member.subject, member.organization_id).value_or(member);
    return make_page(std::move(members), page.rows_max, [](const Member& member) {
        return member.organization_id + " " + member.subject;
    });
}

Result<MemberStore::CreatedSession> MemberStore::create_session(std::string_view subject,
                                                                std::chrono::seconds length) {
    if (!is_subject(subject)) return invalid_argument("subject: expected text");
    if (length.count() <= 0 || length > limits::kSessionLengthMax)
        return invalid_argument("expires_in_seconds: expected 1 to " +
                                std::to_string(limits::kSessionLengthMax.count()) + ", found " +
                                std::to_string(length.count()));
    if (of(subject).empty())
        return fail(ErrorCode::kNotFound, "No member has the subject '" + printable(subject) + "'");
    std::array<std::uint8_t, kTokenBytes> random{};
    crypto::fill_random(random);
    CreatedSession out;
    out.token = kTokenPrefix;
    append_base64url(out.token, {reinterpret_cast<const char*>(random.data()), random.size()});
    const crypto::Sha256Digest digest = crypto::sha256(out.token);
    const std::int64_t now = clock_.unix_us();
    out.session = {session_id(crypto::as_bytes(digest)), std::string(subject), now,
                   now + std::chrono::microseconds(length).count()};
    {
        const std::unique_lock lock(mutex_);
        std::erase_if(sessions_, [&](const auto& each) { return each.second.expires_us <= now; });
        if (sessions_.size() >= limits::kSessionsMax)
            return fail(ErrorCode::kResourceExhausted, "sessions: the limit is reached");
    }
    EW_CHECK(session_records_.insert({out.session, std::string(crypto::as_bytes(digest))}));
    const std::unique_lock lock(mutex_);
    // By now the feed may have told that another daemon has ended it.
    if (!is_fed_)
        sessions_.emplace(crypto::as_bytes(digest),
                          Session{std::string(subject), out.session.expires_us});
    return out;
}

Result<void> MemberStore::revoke_session(std::string_view id) {
    const auto revoked = session_records_.revoke(id, clock_.unix_us());
    if (revoked && !*revoked) return unknown_session(id);
    const std::unique_lock lock(mutex_);
    if (revoked) {
        sessions_.erase(**revoked);
        if (const auto known = unwritten_sessions_.find(id); known != unwritten_sessions_.end())
            unwritten_sessions_.erase(known);
        return {};
    }
    const auto ended =
        std::erase_if(sessions_, [&](const auto& each) { return session_id(each.first) == id; });
    if (ended == 0) return fail(revoked.error());
    unwritten_sessions_.emplace(id);
    return fail(in_memory_error("The session '" + std::string(id) + "' is ended", revoked.error()));
}

Result<Page<OpaqueSession>> MemberStore::list_sessions(const PageRequest& page) {
    EW_CHECK(check_page(page));
    EW_TRY(const AgeCursor after, AgeCursor::parse(page.after));
    EW_TRY(std::vector<StoredSession> sessions,
           session_records_.list(clock_.unix_us(), after, page.rows_max + 1));
    auto stored = make_page(std::move(sessions), page.rows_max, [](const StoredSession& each) {
        return AgeCursor{each.session.created_us, each.session.id}.text();
    });
    Page<OpaqueSession> out{{}, std::move(stored.next)};
    const std::shared_lock lock(mutex_);
    for (StoredSession& each : stored.rows) {
        // Those that are over in memory only are left out.
        if (!unwritten_sessions_.contains(each.session.id))
            out.rows.push_back(std::move(each.session));
    }
    return out;
}

bool MemberStore::has_own_token(std::string_view text) {
    // So many characters behind the prefix are no accident.
    constexpr std::size_t kTellingBytes = 20;
    const std::size_t at = text.find(kTokenPrefix);
    return at != std::string_view::npos && text.size() - at >= kTokenPrefix.size() + kTellingBytes;
}

std::optional<Identity> MemberStore::find_session(const crypto::Sha256Digest& token_sha256) const {
    const std::shared_lock lock(mutex_);
    const auto found = sessions_.find(crypto::as_bytes(token_sha256));
    if (found == sessions_.end() || found->second.expires_us <= clock_.unix_us())
        return std::nullopt;
    return Identity{found->second.subject, {}, found->second.expires_us / 1'000'000};
}

std::optional<Member> MemberStore::find(std::string_view subject,
                                        std::string_view organization_id) const {
    const std::shared_lock lock(mutex_);
    const auto rows = members_.find(subject);
    if (rows == members_.end()) return std::nullopt;
    const auto found = std::ranges::find(rows->second, organization_id, &Member::organization_id);
    return found == rows->second.end() ? std::nullopt : std::optional(*found);
}

void MemberStore::apply(const AuthChanges& changes) {
    const std::unique_lock lock(mutex_);
    is_fed_ = true;
    if (changes.is_whole) {
        members_.clear();
        member_count_ = 0;
        sessions_.clear();
    }
    for (const Member& each : changes.members) {
        if (!changes.is_whole) forget_unwritten(each);
        keep(each);
    }
    for (const SessionChange& each : changes.sessions) keep(each);
    if (changes.is_whole) restore_unwritten();
}

void MemberStore::keep(const Member& member) {
    std::vector<Member>& rows = members_[member.subject];
    const auto found = std::ranges::find(rows, member.organization_id, &Member::organization_id);
    if (found != rows.end()) {
        *found = member;
    } else {
        rows.push_back(member);
        ++member_count_;
    }
}

void MemberStore::keep(const SessionChange& session) {
    if (session.revoked || session.expires_us <= clock_.unix_us() ||
        unwritten_sessions_.contains(session_id(session.sha256))) {
        sessions_.erase(session.sha256);
    } else {
        sessions_.insert_or_assign(session.sha256, Session{session.subject, session.expires_us});
    }
}

void MemberStore::forget_unwritten(const Member& member) {
    std::erase_if(unwritten_members_, [&](const Member& each) { return is_same(each, member); });
}

void MemberStore::restore_unwritten() {
    for (const Member& wanted : unwritten_members_) {
        const auto rows = members_.find(wanted.subject);
        std::optional<Member> known;
        if (rows != members_.end()) {
            for (const Member& each : rows->second) {
                if (is_same(each, wanted)) known = each;
            }
        }
        if (const auto left = narrowed(known, wanted)) keep(*left);
    }
}

std::vector<Member> MemberStore::of(std::string_view subject) const {
    const std::shared_lock lock(mutex_);
    const auto rows = members_.find(subject);
    return rows == members_.end() ? std::vector<Member>() : rows->second;
}

}  // namespace export_worker::auth
