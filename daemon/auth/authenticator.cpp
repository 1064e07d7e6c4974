#include "daemon/auth/authenticator.hpp"

#include <algorithm>

#include "base/log.hpp"

namespace export_worker::auth {
namespace {

// The token of "Bearer TOKEN"; the scheme's case does not matter (RFC 9110, section 11.1). Empty
// when it is another scheme.
std::string_view bearer_token(std::string_view header) {
    constexpr std::string_view kScheme = "bearer";
    if (header.size() <= kScheme.size() || header[kScheme.size()] != ' ') return {};
    for (std::size_t index = 0; index < kScheme.size(); ++index) {
        if ((header[index] | 0x20) != kScheme[index]) return {};
    }
    header.remove_prefix(kScheme.size());
    while (header.starts_with(' ')) header.remove_prefix(1);
    while (header.ends_with(' ')) header.remove_suffix(1);
    return header;
}

// The token to look at: the header's, and the cookie's only without a header.
std::string_view token_of(const Presented& presented) {
    return presented.authorization.empty() ? presented.session
                                           : bearer_token(presented.authorization);
}

SessionToken session_token_of(const Presented& presented) {
    return SessionToken(token_of(presented), presented.token_sha256);
}

bool is_key(const Presented& presented) {
    return !presented.authorization.empty() && token_of(presented).starts_with("mo_");
}

tl::unexpected<Error> invalid_credentials() {
    return fail(ErrorCode::kUnauthenticated, "Invalid credentials");
}
tl::unexpected<Error> not_a_member() {
    return fail(ErrorCode::kPermissionDenied, "Not a member of this organization");
}

}  // namespace

Authenticator::Authenticator(const KeyStore& keys, const MemberStore& members,
                             SessionVerifier& sessions, RolePolicy roles,
                             std::function<bool()> may_answer)
    : keys_(keys),
      members_(members),
      sessions_(sessions),
      may_answer_(std::move(may_answer)),
      roles_(std::make_shared<const RolePolicy>(std::move(roles))) {}

Result<void> Authenticator::authenticate(const Presented& presented,
                                         model::Principal& principal) const {
    auto judged = judge(presented, principal);
    if (!judged)
        count_refusal(judged.error().code,
                      !presented.authorization.empty() || !presented.session.empty());
    return judged;
}

std::string Authenticator::organization_of(const Presented& presented) const {
    model::Principal principal;
    return judge(presented, principal) ? std::move(principal.organization_id) : std::string();
}

void Authenticator::count_refusal(ErrorCode code, bool with_credentials) const {
    switch (code) {
        case ErrorCode::kUnauthenticated:
            ++(with_credentials ? refused_.invalid : refused_.missing);
            break;
        case ErrorCode::kPermissionDenied: ++refused_.organization; break;
        case ErrorCode::kRateLimited: ++refused_.rate_limited; break;
        default: ++refused_.unavailable; break;
    }
}

Result<void> Authenticator::judge(const Presented& presented, model::Principal& principal) const {
    if (presented.authorization.empty() && presented.session.empty())
        return fail(ErrorCode::kUnauthenticated, "Not authenticated");
    // Another daemon may have revoked what is shown.
    if (!may_answer())
        return fail(ErrorCode::kUnavailable, "Credentials cannot be checked right now; try again");
    if (is_key(presented))
        return act_as_key(token_of(presented), presented.organization_id, principal);
    SessionToken token = session_token_of(presented);
    const auto identity = sessions_.verify(token, presented.client_address);
    if (!identity) {
        if (identity.error().code != ErrorCode::kUnauthenticated) return fail(identity.error());
        log_debug("refused: {}", identity.error().message);
        return invalid_credentials();
    }
    return act_as_member(**identity, presented.organization_id, principal);
}

Result<void> Authenticator::act_as_key(std::string_view token, std::string_view organization_id,
                                       model::Principal& principal) const {
    const std::shared_ptr<const ApiKey> key = keys_.verify(token);
    if (key == nullptr) return invalid_credentials();
    if (!organization_id.empty() && organization_id != key->organization_id) return not_a_member();
    principal.subject = key->id;
    principal.organization_id = key->organization_id;
    principal.permissions = key->permissions;
    principal.is_operator = false;
    principal.by_key = true;
    return {};
}

Result<void> Authenticator::act_as_member(const Identity& identity,
                                          std::string_view organization_id,
                                          model::Principal& principal) const {
    // What the table says of an organization counts instead of what the token says of it.
    std::vector<Member> memberships = members_.of(identity.subject);
    for (const Membership& each : identity.memberships) {
        if (std::ranges::find(memberships, each.organization_id, &Member::organization_id) ==
            memberships.end())
            memberships.push_back({identity.subject, each.organization_id, each.roles, true});
    }
    const Member* chosen = nullptr;
    if (!organization_id.empty()) {
        const auto found =
            std::ranges::find(memberships, organization_id, &Member::organization_id);
        if (found == memberships.end()) return not_a_member();
        chosen = &*found;
    } else if (memberships.empty()) {
        return fail(ErrorCode::kPermissionDenied, "Not a member of any organization");
    } else if (std::ranges::count_if(memberships, &Member::active) > 1) {
        return fail(ErrorCode::kPermissionDenied,
                    "Member of several organizations: name one in X-Organization-ID");
    } else {
        const auto active = std::ranges::find_if(memberships, &Member::active);
        chosen = active == memberships.end() ? &memberships.front() : &*active;
    }
    if (!chosen->active) return invalid_credentials();
    const std::shared_ptr<const RolePolicy> roles = roles_now();
    principal.subject = identity.subject;
    principal.organization_id = chosen->organization_id;
    principal.permissions = roles->permissions_of(chosen->roles);
    principal.is_operator = false;
    principal.by_key = false;
    return {};
}

bool Authenticator::begin_introspection(Presented& presented) const {
    if (is_key(presented) || !may_answer()) return false;
    SessionToken token = session_token_of(presented);
    const bool needed = sessions_.begin_introspection(token, presented.client_address);
    presented.token_sha256 = token.computed_sha256();
    return needed;
}

void Authenticator::introspect(const Presented& presented) const {
    SessionToken token = session_token_of(presented);
    sessions_.introspect(token);
}

Result<void> Authenticator::check_roles(std::span<const std::string> roles) const {
    return roles_now()->check_roles(roles);
}

std::shared_ptr<const RolePolicy> Authenticator::roles_now() const {
    const std::lock_guard lock(roles_mutex_);
    return roles_;
}

void Authenticator::set_roles(RolePolicy roles) {
    auto fresh = std::make_shared<const RolePolicy>(std::move(roles));
    const std::lock_guard lock(roles_mutex_);
    roles_ = std::move(fresh);
}

}  // namespace export_worker::auth
