#include "daemon/auth/jwt.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/base64.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/auth/json_object.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {
namespace {

using nlohmann::json;

tl::unexpected<Error> unauthenticated(std::string reason) {
    return fail(ErrorCode::kUnauthenticated, "jwt: " + std::move(reason));
}

struct Parts {
    std::string_view signed_part;  // Header, point, payload.
    std::string_view header;
    std::string_view payload;
    std::string_view signature;
};

std::optional<Parts> split(std::string_view token) {
    const std::size_t first = token.find('.');
    if (first == std::string_view::npos) return std::nullopt;
    const std::size_t second = token.find('.', first + 1);
    if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
        return std::nullopt;
    return Parts{token.substr(0, second), token.substr(0, first),
                 token.substr(first + 1, second - first - 1), token.substr(second + 1)};
}

std::optional<json> decode_object(std::string_view part) {
    const auto text = from_base64url(part);
    return text ? parse_object(*text) : std::nullopt;
}

// The kid, from a header that says exactly what we expect.
Result<std::string> kid_of(const json& header) {
    if (const std::string alg = text_in(header, "alg").value_or(""); alg != "RS256")
        return unauthenticated("alg: expected RS256, found '" + printable(alg) + "'");
    const std::string type = text_in(header, "typ").value_or("JWT");
    if (type != "JWT" && type != "jwt")
        return unauthenticated("typ: expected JWT, found '" + printable(type) + "'");
    // An extension we do not know and must not ignore (RFC 7515, 4.1.11).
    if (header.contains("crit")) return unauthenticated("crit: expected none");
    const std::optional<std::string> kid = text_in(header, "kid");
    if (!kid || kid->size() > limits::kJwtKidBytesMax)
        return unauthenticated("kid: expected a text");
    return *kid;
}

// NumericDate (RFC 7519, 2) may have a fraction.
std::optional<std::int64_t> time_in(const json& claims, const char* name) {
    const auto found = claims.find(name);
    constexpr double kTimeMax = 253402300799.0;  // The year 9999.
    if (found == claims.end() || !found->is_number()) return std::nullopt;
    const double time = found->get<double>();
    if (!(time >= 0 && time <= kTimeMax)) return std::nullopt;
    return static_cast<std::int64_t>(std::floor(time));
}

bool names(const json& claims, const char* claim, const std::string& wanted) {
    if (text_in(claims, claim) == wanted) return true;
    const auto several = texts_in(claims, claim);
    return several && std::ranges::find(*several, wanted) != several->end();
}

Result<std::int64_t> check_claims(const json& claims, const JwtRules& rules, std::int64_t now) {
    const std::int64_t tolerance = rules.tolerance.count();
    if (text_in(claims, "iss") != rules.issuer) return unauthenticated("iss: another issuer");
    if (!names(claims, "aud", rules.audience)) return unauthenticated("aud: another audience");
    const auto expires = time_in(claims, "exp");
    if (!expires) return unauthenticated("exp: expected a time");
    if (now >= *expires + tolerance) return unauthenticated("expired");
    const auto not_before = time_in(claims, "nbf");
    if (claims.contains("nbf") && !not_before) return unauthenticated("nbf: expected a time");
    if (not_before && now < *not_before - tolerance) return unauthenticated("not valid yet");
    return *expires + tolerance;
}

bool is_usable_text(const std::optional<std::string>& text, std::size_t bytes_max) {
    return text && !text->empty() && text->size() <= bytes_max && is_valid_utf8(*text) &&
           !has_control_characters(*text);
}

std::optional<Membership> membership_of(const json& organization, const json& roles) {
    const auto id = text_in(organization, "organization_id");
    if (!id || !is_organization_id(*id)) return std::nullopt;
    return Membership{*id, texts_in(roles, "roles").value_or(std::vector<std::string>())};
}

}  // namespace

bool looks_like_jwt(std::string_view token) {
    return split(token).has_value();
}

Result<Identity> verify_jwt(std::string_view token, const Jwks& keys, const JwtRules& rules,
                            std::int64_t now_unix_s) {
    if (token.size() > limits::kCredentialBytesMax) return unauthenticated("too long");
    const std::optional<Parts> parts = split(token);
    if (!parts) return unauthenticated("expected three parts");
    const std::optional<json> header = decode_object(parts->header);
    if (!header) return unauthenticated("header: expected an object in base64url");
    EW_TRY(const std::string kid, kid_of(*header));
    const crypto::PublicKey* key = keys.find(kid);
    if (key == nullptr)
        return fail(ErrorCode::kNotFound, "jwt: no key has the kid '" + printable(kid) + "'");
    const auto signature = from_base64url(parts->signature);
    if (!signature || !key->verify(parts->signed_part, *signature))
        return unauthenticated("bad signature");
    const std::optional<json> claims = decode_object(parts->payload);
    if (!claims) return unauthenticated("payload: expected an object in base64url");
    EW_TRY(const std::int64_t expires, check_claims(*claims, rules, now_unix_s));
    EW_TRY(Identity identity, identity_of(*claims));
    identity.expires_unix_s = expires;
    return identity;
}

Result<Identity> identity_of(const json& claims) {
    Identity out;
    const auto subject = text_in(claims, "sub");
    if (!is_usable_text(subject, limits::kSubjectBytesMax))
        return unauthenticated("sub: expected a text");
    out.subject = *subject;
    constexpr const char* kOrganization = "https://stytch.com/organization";
    constexpr const char* kSession = "https://stytch.com/session";
    if (claims.contains(kOrganization)) {
        auto one = membership_of(object_in(claims, kOrganization), object_in(claims, kSession));
        if (!one) return unauthenticated("organization: expected an organization_id");
        out.memberships.push_back(std::move(*one));
    }
    const auto several = claims.find("organizations");
    if (several == claims.end()) return out;
    if (!several->is_array() || several->size() > limits::kMembershipsMax)
        return unauthenticated("organizations: expected an array");
    for (const json& each : *several) {
        auto one = each.is_object() ? membership_of(each, each) : std::nullopt;
        if (!one) return unauthenticated("organizations: expected objects with an organization_id");
        out.memberships.push_back(std::move(*one));
    }
    return out;
}

}  // namespace export_worker::auth
