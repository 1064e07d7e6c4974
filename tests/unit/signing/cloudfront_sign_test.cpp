#include "signing/cloudfront_sign.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/base64.hpp"
#include "base/crypto/private_key.hpp"
#include "base/json.hpp"
#include "tests/unit/support/signing_vectors.hpp"
#include "tests/unit/support/test_keys.hpp"

namespace export_worker::signing {
namespace {

using crypto::PrivateKey;
using crypto::SignatureDigest;
using nlohmann::json;
using namespace vectors;

CloudFrontRequest cloudfront_request() {
    CloudFrontRequest out;
    out.url = "https://d111.cloudfront.net/acme/a%20b.csv?size=1";
    out.expires_unix_s = 1'800'000'000;
    out.key_pair_id = "K1";
    out.digest = SignatureDigest::kSha256;
    return out;
}

std::string decoded_parameter(const std::string& url, const std::string& name) {
    const std::size_t begin = url.find(name + "=") + name.size() + 1;
    std::string text = url.substr(begin, url.find('&', begin) - begin);
    std::ranges::replace(text, '-', '+');
    std::ranges::replace(text, '_', '=');
    std::ranges::replace(text, '~', '/');
    return from_base64(text).value_or("not base64");
}

TEST(CloudFront, EcSignaturesVerifyWithThePublicHalf) {
    for (const char* pem : {testing::kRsaKey, testing::kEcKey}) {
        const auto key = PrivateKey::parse(pem);
        const auto link = sign_cloudfront(cloudfront_request(), *key);
        ASSERT_TRUE(link) << link.error().message;
        EXPECT_TRUE(link->url.starts_with(
            "https://d111.cloudfront.net/acme/a%20b.csv?size=1&Expires=1800000000&Signature="));
        EXPECT_TRUE(link->url.ends_with("&Key-Pair-Id=K1&Hash-Algorithm=SHA256"));
        EXPECT_TRUE(key->verify(SignatureDigest::kSha256, link->policy,
                                decoded_parameter(link->url, "Signature")));
    }
}

TEST(CloudFront, AnEcKeySignsNoSha1) {
    CloudFrontRequest request = cloudfront_request();
    request.digest = SignatureDigest::kSha1;
    const auto refused = sign_cloudfront(request, *PrivateKey::parse(testing::kEcKey));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("hash: expected SHA256 with an EC key, found SHA1"),
              std::string::npos)
        << refused.error().message;
}

TEST(CloudFront, ACustomPolicyTravelsAlong) {
    CloudFrontRequest request = cloudfront_request();
    request.custom = true;
    request.resource = "https://d111.cloudfront.net/acme/*";
    request.starts_unix_s = 1'700'000'000;
    request.ip = "192.0.2.7";
    const auto link = sign_cloudfront(request, *PrivateKey::parse(testing::kRsaKey));
    ASSERT_TRUE(link);
    EXPECT_EQ(decoded_parameter(link->url, "Policy"), link->policy);
    EXPECT_EQ(link->policy,
              R"({"Statement":[{"Resource":"https://d111.cloudfront.net/acme/*","Condition":{)"
              R"("DateLessThan":{"AWS:EpochTime":1800000000},"DateGreaterThan":{"AWS:EpochTime":)"
              R"(1700000000},"IpAddress":{"AWS:SourceIp":"192.0.2.7"}}}]})");
}

TEST(CloudFront, RefusesWhatWouldChangeThePolicy) {
    const auto key = PrivateKey::parse(testing::kRsaKey);
    const auto error = [&](auto change) {
        CloudFrontRequest request = cloudfront_request();
        change(request);
        const auto link = sign_cloudfront(request, *key);
        return link ? std::string("accepted") : link.error().message;
    };
    for (const char* url :
         {"https://h/a\"b", "https://h/a b", "https://h/a\\b", "https://h/é", "https://h/a#b",
          "ftp://h/a", "https://h/a?Expires=1", "https://h/a?x=1&Signature=2",
          "https://h/a?Key-Pair-Id", "https://h/a?Policy=x", "https://h/a?Hash-Algorithm=SHA1"})
        EXPECT_EQ(error([&](auto& r) { r.url = url; }).find("url: "), 0U) << url;
    for (const char* ip : {"300.1.1.1", "1.2.3", "1.2.3.4/33", "::1", "1.2.3.4\",\"x"})
        EXPECT_EQ(error([&](auto& r) {
                      r.custom = true;
                      r.ip = ip;
                  }).find("ip: "),
                  0U)
            << ip;
    EXPECT_NE(error([](auto& r) { r.expires_unix_s = 0; }).find("expires_at"), std::string::npos);
    EXPECT_NE(error([](auto& r) { r.ip = "1.2.3.4"; }).find("canned"), std::string::npos);
    EXPECT_NE(error([](auto& r) { r.key_pair_id = "K&x=1"; }).find("key_pair_id"),
              std::string::npos);
    EXPECT_NE(error([](auto& r) {
                  r.custom = true;
                  r.starts_unix_s = 1'900'000'000;
              }).find("starts_at"),
              std::string::npos);
}

TEST(CloudFront, MatchesThePublishedVectors) {
    const auto file = vectors::read("cloudfront.json");
    if (!file) GTEST_SKIP() << file.error();
    std::size_t refused = 0;
    for (const json& each : (*file)["cases"]) {
        SCOPED_TRACE(each["name"]);
        const json& in = each["input"];
        const std::string url = text_of(in, "url"), resource = text_of(in, "resource"),
                          policy = text_of(in, "policy_json"), ip = text_of(in, "ip_address"),
                          pair = text_of(in, "key_pair_id");
        CloudFrontRequest request;
        request.url = url;
        request.custom = text_of(in, "policy_kind") == "custom" || !ip.empty() ||
                         !in["date_greater_than"].is_null();
        request.policy_json = policy;
        if (request.custom) request.resource = resource;
        request.starts_unix_s = number_of(in, "date_greater_than");
        request.expires_unix_s = number_of(in, "date_less_than");
        request.ip = ip;
        request.key_pair_id = pair;
        request.digest = in["hash_algorithm"] == "SHA256" ? crypto::SignatureDigest::kSha256
                                                          : crypto::SignatureDigest::kSha1;
        const crypto::PrivateKey key = key_of(*file, text_of(in, "private_key_ref"));
        const auto signed_url = sign_cloudfront(request, key);
        if (each.contains("expected_error")) {
            EXPECT_FALSE(signed_url);
            ++refused;
            continue;
        }
        ASSERT_TRUE(signed_url) << signed_url.error().message;
        EXPECT_EQ(signed_url->policy, each["expected_policy"].get<std::string>());
        ASSERT_TRUE(each["signature_is_deterministic"].get<bool>());
        EXPECT_TRUE(pairs_of(signed_url->url)
                        .contains("Signature=" + each["expected_signature"].get<std::string>()));
    }
    EXPECT_EQ(refused, 5U);
}

}  // namespace
}  // namespace export_worker::signing
