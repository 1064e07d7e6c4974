#include "daemon/auth/jwt.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "base/base64.hpp"
#include "base/json.hpp"
#include "base/shared_limits.hpp"
#include "daemon/auth/json_object.hpp"
#include "daemon/auth/limits.hpp"
#include "tests/unit/support/cost.hpp"
#include "tests/unit/support/sessions.hpp"

namespace export_worker::auth {
namespace {

using nlohmann::json;
using testing::kTokenHeader;
using testing::kTokenNow;
using testing::make_jwt;
using testing::stytch_claims;

std::string verdict(const std::string& token, std::int64_t now = kTokenNow) {
    static const Jwks keys = std::move(*Jwks::parse(testing::jwks_of({"one"})));
    const JwtRules rules{"stytch.com/project-test", "project-test", std::chrono::seconds(5)};
    const auto verified = verify_jwt(token, keys, rules, now);
    return verified ? "ok" : verified.error().message;
}

std::string with_claim(const char* name, const json& value) {
    json claims = stytch_claims();
    claims[name] = value;
    return make_jwt(kTokenHeader, claims);
}
std::string with_header(const char* name, const json& value) {
    json header = kTokenHeader;
    header[name] = value;
    return make_jwt(header, stytch_claims());
}

TEST(Jwt, AStytchSessionIsAMemberOfItsOrganization) {
    const Jwks keys = std::move(*Jwks::parse(testing::jwks_of({"one"})));
    const auto identity =
        verify_jwt(make_jwt(kTokenHeader, stytch_claims()), keys,
                   {"stytch.com/project-test", "project-test", std::chrono::seconds(5)}, kTokenNow);
    ASSERT_TRUE(identity) << identity.error().message;
    EXPECT_EQ(identity->subject, "member-test-1");
    EXPECT_EQ(identity->memberships, std::vector<Membership>({{"acme", {"Editor"}}}));
    EXPECT_EQ(identity->expires_unix_s, kTokenNow + 305);
}

TEST(Jwt, TheAlgorithmIsNotTheTokensToChoose) {
    for (const char* algorithm : {"none", "None", "HS256", "RS512", "PS256", "ES256", ""})
        EXPECT_EQ(verdict(with_header("alg", algorithm)),
                  "jwt: alg: expected RS256, found '" + std::string(algorithm) + "'");
    // HS256 with the public modulus as the secret: what a library that believes the header accepts.
    const std::string text = testing::base64url(R"({"alg":"HS256","kid":"one"})") + "." +
                             testing::base64url(stytch_claims().dump());
    const auto mac = crypto::hmac_sha256(testing::kRsaModulus, text);
    EXPECT_EQ(verdict(text + "." + testing::base64url(crypto::as_bytes(mac))),
              "jwt: alg: expected RS256, found 'HS256'");
    EXPECT_EQ(verdict(with_header("typ", "at+jwt")), "jwt: typ: expected JWT, found 'at+jwt'");
    EXPECT_EQ(verdict(with_header("crit", {"exp"})), "jwt: crit: expected none");
}

TEST(Jwt, WrongKeysAndChangedBytesAreRefused) {
    EXPECT_EQ(verdict(make_jwt(kTokenHeader, stytch_claims())), "ok");
    EXPECT_EQ(verdict(with_header("kid", "two")), "jwt: no key has the kid 'two'");
    EXPECT_EQ(verdict(with_header("kid", 1)), "jwt: kid: expected a text");
    const std::string good = make_jwt(kTokenHeader, stytch_claims());
    for (std::size_t at = 0; at < good.size(); at += 7) {
        std::string bad = good;
        bad[at] = bad[at] == 'A' ? 'B' : 'A';
        EXPECT_NE(verdict(bad), "ok") << at;
    }
    EXPECT_EQ(verdict(good.substr(0, good.rfind('.') + 1)), "jwt: bad signature");
    EXPECT_EQ(verdict(good + "."), "jwt: expected three parts");
    EXPECT_EQ(verdict(good + "="), "jwt: bad signature");
    EXPECT_EQ(verdict(good + std::string(limits::kCredentialBytesMax, 'A')), "jwt: too long");
    EXPECT_EQ(verdict(".."), "jwt: header: expected an object in base64url");
}

TEST(Jwt, TimesIssuerAndAudienceCount) {
    const std::string good = make_jwt(kTokenHeader, stytch_claims());
    EXPECT_EQ(verdict(good, kTokenNow + 304), "ok");
    EXPECT_EQ(verdict(good, kTokenNow + 305), "jwt: expired");
    EXPECT_EQ(verdict(good, kTokenNow - 5), "ok");
    EXPECT_EQ(verdict(good, kTokenNow - 6), "jwt: not valid yet");
    EXPECT_EQ(verdict(with_claim("exp", kTokenNow + 0.5)), "ok");
    for (const json& value : {json("soon"), json(), json(-1), json(1e300)})
        EXPECT_EQ(verdict(with_claim("exp", value)), "jwt: exp: expected a time") << value;
    EXPECT_EQ(verdict(with_claim("nbf", "now")), "jwt: nbf: expected a time");
    EXPECT_EQ(verdict(with_claim("iss", "stytch.com/project-live")), "jwt: iss: another issuer");
    EXPECT_EQ(verdict(with_claim("aud", "project-test")), "ok");
    for (const json& value : {json("project-live"), json::array(), json({1}), json()})
        EXPECT_EQ(verdict(with_claim("aud", value)), "jwt: aud: another audience") << value;
    for (const json& value : {json(""), json(7), json(std::string(200, 's')), json("a\nb")})
        EXPECT_EQ(verdict(with_claim("sub", value)), "jwt: sub: expected a text") << value;
    EXPECT_NE(verdict(with_claim("https://stytch.com/organization", {{"organization_id", "../x"}})),
              "ok");
    EXPECT_NE(verdict(with_claim("organizations", {{{"organization_id", 3}}})), "ok");
    json memberships = json::array();
    while (memberships.size() < 64)
        memberships.push_back({{"organization_id", "o" + std::to_string(memberships.size())}});
    EXPECT_EQ(verdict(with_claim("organizations", memberships)), "ok");
    memberships.push_back({{"organization_id", "one-more"}});
    EXPECT_EQ(verdict(with_claim("organizations", memberships)),
              "jwt: organizations: expected an array");
}

TEST(Jwt, AMemberNamedTwiceIsNoObject) {
    EXPECT_TRUE(parse_object(R"({"a":1,"b":{"a":2}})"));
    EXPECT_FALSE(parse_object(R"({"a":1,"a":2})"));
    EXPECT_FALSE(parse_object(R"({"b":{"a":1,"a":2},"c":3})"));
    EXPECT_FALSE(parse_object("[1]"));
    EXPECT_FALSE(parse_object("{} x"));
    EXPECT_FALSE(parse_object(std::string(5000, '[')));
    EXPECT_FALSE(parse_object("{\"a\":" + std::string(20, '[') + std::string(20, ']') + "}"));
}

// Before anybody knows whose token it is.
TEST(CostOfAToken, IsSmallWhateverItsShape) {
    const Jwks keys = std::move(*Jwks::parse(testing::jwks_of({"one"})));
    const JwtRules rules{"i", "a", std::chrono::seconds(5)};
    const auto part = [](std::string_view begin, std::string_view each, std::string_view end) {
        std::string out;
        append_base64url(out, testing::repeated(limits::kCredentialBytesMax / 2, begin, each, end));
        return out;
    };
    for (const std::string& token :
         {std::string(limits::kCredentialBytesMax, '.'),
          std::string(limits::kCredentialBytesMax, 'a'),
          part("{\"a\":[", "{},", "{}]}") + ".e30.AA", part("", "[", "") + ".e30.AA",
          part("{\"kid\":\"", "\\u0041", "\"}") + ".e30.AA",
          part("{\"alg\":\"RS256\",\"kid\":\"", "x", "\"}") + "." +
              part("{", "\"a\":1,", "\"b\":1}") + ".AA"}) {
        const double took =
            testing::milliseconds_of([&] { (void)verify_jwt(token, keys, rules, kTokenNow); });
        EXPECT_LE(took, 2 * testing::kSlower) << token.substr(0, 40);
    }
}

}  // namespace
}  // namespace export_worker::auth
