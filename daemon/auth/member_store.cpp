#include "daemon/auth/member_store.hpp"

#include <algorithm>
#include <array>
#include <mutex>
#include <set>

#include "base/base64.hpp"
#include "base/crypto/random.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "base/in_memory_error.hpp"
#include "base/text.hpp"
#include "daemon/auth/limits.hpp"
#include "daemon/auth/role_policy.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::auth {
namespace {

using sqlite::Connection;
using sqlite::Statement;

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
                                              std::to_string(kSessionIdDigits) +
                                              " digits; exportctl session list shows it");
    return fail(ErrorCode::kNotFound, "No session has the id '" + printable(id) + "'");
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

Member read_member(const Statement& row) {
    return {row.string(0), row.string(1), split_words(row.text(2)), row.integer(3) != 0};
}

}  // namespace

Result<std::unique_ptr<MemberStore>> MemberStore::open(sqlite::Database& database,
                                                       const Clock& clock) {
    std::unique_ptr<MemberStore> store(new MemberStore(database, clock));
    EW_CHECK(store->load());
    return store;
}

Result<void> MemberStore::load() {
    return database_.read([&](Connection& connection) -> Result<void> {
        Statement rows =
            connection.statement("SELECT subject, organization_id, roles, active FROM member");
        EW_CHECK(sqlite::for_each_row(rows, [&](const Statement& row) {
            Member member = read_member(row);
            members_[member.subject].push_back(std::move(member));
            ++member_count_;
        }));
        Statement sessions = connection.statement(
            "SELECT sha256, subject, expires_us FROM session WHERE revoked_us IS NULL AND "
            "expires_us > ?1");
        sessions.bind(clock_.unix_us());
        return sqlite::for_each_row(sessions, [&](const Statement& row) -> Result<void> {
            auto digest = from_hex(row.text(0));
            if (!digest) return fail(ErrorCode::kDataLoss, "session: an unreadable digest");
            sessions_.emplace(std::move(*digest), Session{row.string(1), row.integer(2)});
            return {};
        });
    });
}

Result<void> MemberStore::put(const Member& member) {
    EW_CHECK(check(member));
    // A member who exists can be changed even when the table is full.
    if (!find(member.subject, member.organization_id)) {
        const std::shared_lock lock(mutex_);
        if (member_count_ >= limits::kMembersMax)
            return fail(ErrorCode::kResourceExhausted, "members: the limit is reached");
    }
    auto written = database_.write([&](Connection& connection) {
        return connection
            .statement(
                "INSERT INTO member (subject, organization_id, roles, active, changed_us) "
                "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET roles = "
                "excluded.roles, active = excluded.active, changed_us = excluded.changed_us")
            .bind(member.subject, member.organization_id, join_words(member.roles),
                  member.active ? 1 : 0, clock_.unix_us())
            .run();
    });
    const auto now = written ? std::optional(member)
                             : narrowed(find(member.subject, member.organization_id), member);
    if (!now) return written;
    {
        const std::unique_lock lock(mutex_);
        std::vector<Member>& rows = members_[member.subject];
        const auto found =
            std::ranges::find(rows, member.organization_id, &Member::organization_id);
        if (found != rows.end()) {
            *found = *now;
        } else {
            rows.push_back(*now);
            ++member_count_;
        }
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
    const std::string_view after_organization = page.after.substr(0, blank);
    const std::string_view after_subject =
        page.after.substr(std::min(blank + 1, page.after.size()));
    EW_TRY(std::vector<Member> members, database_.read([&](Connection& connection) {
        Statement rows = connection.statement(
            "SELECT subject, organization_id, roles, active FROM member WHERE "
            "(organization_id, subject) > (?2, ?3) AND (?1 = '' OR organization_id = ?1) "
            "ORDER BY organization_id, subject LIMIT ?4");
        rows.bind(organization_id, after_organization, after_subject,
                  static_cast<std::int64_t>(page.rows_max) + 1);
        return sqlite::read_all(rows, read_member);
    }));
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
                                std::to_string(limits::kSessionLengthMax.count()));
    if (of(subject).empty())
        return fail(ErrorCode::kNotFound, "No member has the subject '" + printable(subject) + "'");
    std::array<std::uint8_t, kTokenBytes> random{};
    crypto::fill_random(random);
    CreatedSession out;
    out.token = kTokenPrefix;
    append_base64url(out.token, {reinterpret_cast<const char*>(random.data()), random.size()});
    const crypto::Sha256Digest digest = crypto::sha256(out.token);
    const std::string digest_hex = to_hex(digest);
    const std::int64_t now = clock_.unix_us();
    out.session = {digest_hex.substr(0, kSessionIdDigits), std::string(subject), now,
                   now + std::chrono::microseconds(length).count()};
    {
        const std::unique_lock lock(mutex_);
        std::erase_if(sessions_, [&](const auto& each) { return each.second.expires_us <= now; });
        if (sessions_.size() >= limits::kSessionsMax)
            return fail(ErrorCode::kResourceExhausted, "sessions: the limit is reached");
    }
    EW_CHECK(database_.write([&](Connection& connection) -> Result<void> {
        EW_CHECK(
            connection.statement("DELETE FROM session WHERE expires_us <= ?1").bind(now).run());
        return connection
            .statement(
                "INSERT INTO session (sha256, id, subject, created_us, expires_us) VALUES "
                "(?1, ?2, ?3, ?4, ?5)")
            .bind(digest_hex, out.session.id, subject, now, out.session.expires_us)
            .run();
    }));
    const std::unique_lock lock(mutex_);
    sessions_.emplace(crypto::as_bytes(digest),
                      Session{std::string(subject), out.session.expires_us});
    return out;
}

Result<void> MemberStore::revoke_session(std::string_view id) {
    std::string digest_hex;
    auto written = database_.write([&](Connection& connection) -> Result<void> {
        {
            Statement row = connection.statement("SELECT sha256 FROM session WHERE id = ?1");
            EW_TRY(const bool found, row.bind(id).step());
            if (!found) return unknown_session(id);
            digest_hex = row.string(0);
        }
        return connection
            .statement("UPDATE session SET revoked_us = coalesce(revoked_us, ?2) WHERE sha256 = ?1")
            .bind(digest_hex, clock_.unix_us())
            .run();
    });
    const std::unique_lock lock(mutex_);
    if (written) {
        sessions_.erase(from_hex(digest_hex).value_or(""));
        return {};
    }
    const auto ended =
        std::erase_if(sessions_, [&](const auto& each) { return session_id(each.first) == id; });
    if (ended == 0) return written;
    return fail(in_memory_error("The session '" + std::string(id) + "' is ended", written.error()));
}

Result<Page<OpaqueSession>> MemberStore::list_sessions(const PageRequest& page) {
    EW_CHECK(check_page(page));
    EW_TRY(const AgeCursor after, AgeCursor::parse(page.after));
    std::set<std::string> over;  // In memory only.
    EW_TRY(std::vector<OpaqueSession> sessions, database_.read([&](Connection& connection) {
        Statement rows = connection.statement(
            "SELECT id, subject, created_us, expires_us, sha256 FROM session WHERE revoked_us "
            "IS NULL AND expires_us > ?1 AND (created_us, id) > (?2, ?3) ORDER BY "
            "created_us, id LIMIT ?4");
        rows.bind(clock_.unix_us(), after.created_us, after.id,
                  static_cast<std::int64_t>(page.rows_max) + 1);
        return sqlite::read_all(rows, [&](const Statement& row) {
            const std::shared_lock lock(mutex_);
            if (!sessions_.contains(from_hex(row.text(4)).value_or(""))) over.insert(row.string(0));
            return OpaqueSession{row.string(0), row.string(1), row.integer(2), row.integer(3)};
        });
    }));
    auto out = make_page(std::move(sessions), page.rows_max, [](const OpaqueSession& session) {
        return AgeCursor{session.created_us, session.id}.text();
    });
    std::erase_if(out.rows,
                  [&](const OpaqueSession& session) { return over.contains(session.id); });
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

std::vector<Member> MemberStore::of(std::string_view subject) const {
    const std::shared_lock lock(mutex_);
    const auto rows = members_.find(subject);
    return rows == members_.end() ? std::vector<Member>() : rows->second;
}

}  // namespace export_worker::auth
