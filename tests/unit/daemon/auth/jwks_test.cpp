#include "daemon/auth/jwks.hpp"

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

TEST(Jwks, KeepsTheKeysItCanUseAndRefusesBadOnes) {
    json set = parse_json_or_throw(testing::jwks_of({"one", "two"}));
    set["keys"].push_back({{"kty", "EC"}, {"kid", "ec"}});
    set["keys"].push_back({{"kty", "RSA"}, {"use", "enc"}, {"kid", "enc"}});
    const auto keys = Jwks::parse(set.dump());
    ASSERT_TRUE(keys) << keys.error().message;
    EXPECT_EQ(keys->size(), 2U);
    EXPECT_NE(keys->find("two"), nullptr);
    EXPECT_EQ(keys->find("enc"), nullptr);

    const auto refusal = [](const json& text) { return Jwks::parse(text.dump()).error().message; };
    EXPECT_EQ(Jwks::parse("nonsense").error().message,
              "jwks: expected an object with an array 'keys'");
    EXPECT_EQ(refusal({{"keys", json::array()}}),
              "jwks: expected at least one RSA key for RS256 signatures, found none");
    EXPECT_EQ(refusal({{"keys", {"one"}}}), "jwks: keys: expected objects, found text");
    EXPECT_EQ(refusal(parse_json_or_throw(testing::jwks_of({"one", "one"}))),
              "jwks: kid 'one' given twice");
    json weak = parse_json_or_throw(testing::jwks_of({"one"}));
    weak["keys"][0]["n"] = testing::base64url(std::string(128, '\xff'));
    EXPECT_EQ(refusal(weak),
              "jwks: key 'one': public key: expected a modulus of 2048 to 8192 bits");
    for (const char* exponent : {"AQ", "AA", "", "Ag", "AQAAAAAB"}) {
        json odd = parse_json_or_throw(testing::jwks_of({"one"}));
        odd["keys"][0]["e"] = exponent;
        EXPECT_FALSE(Jwks::parse(odd.dump())) << exponent;
    }
    json nameless = parse_json_or_throw(testing::jwks_of({""}));
    EXPECT_EQ(refusal(nameless), "jwks: kid: expected 1 to " +
                                     std::to_string(limits::kJwtKidBytesMax) +
                                     " bytes of text, found 0");
    std::vector<std::string> many;
    for (std::size_t index = 0; index <= limits::kJwksKeysMax; ++index)
        many.push_back(std::to_string(index));
    EXPECT_EQ(
        Jwks::parse(testing::jwks_of(many)).error().message,
        "jwks: expected at most " + std::to_string(limits::kJwksKeysMax) + " keys, found more");
}

// A provider's answer is a stranger's, too.
TEST(CostOfAKeySet, IsLinearWhateverItsShape) {
    for (const auto& [begin, each, end] :
         {std::array<std::string_view, 3>{"{\"keys\":[", "{},", "{}]}"},
          std::array<std::string_view, 3>{
              "{\"keys\":[", "{\"kty\":\"RSA\",\"kid\":\"a\",\"n\":\"AQAB\",\"e\":\"AQAB\"},",
              "{}]}"},
          std::array<std::string_view, 3>{"{\"keys\":", "[", ""},
          std::array<std::string_view, 3>{"{\"keys\":[\"", "\\u0041", "\"]}"}}) {
        const std::string text = testing::repeated(limits::kJwksBytesMax, begin, each, end);
        EXPECT_LE(testing::milliseconds_of([&] { (void)Jwks::parse(text); }), 20 * testing::kSlower)
            << begin << each;
    }
}

}  // namespace
}  // namespace export_worker::auth
