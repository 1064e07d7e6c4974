#include "signing/gcs_presign.hpp"

#include <gtest/gtest.h>

#include "base/clock.hpp"
#include "base/crypto/private_key.hpp"
#include "base/json.hpp"
#include "signing/sigv4.hpp"
#include "tests/unit/support/signing_vectors.hpp"
#include "tests/unit/support/test_keys.hpp"

namespace export_worker::signing {
namespace {

using crypto::PrivateKey;
using crypto::SignatureDigest;
using nlohmann::json;
using namespace vectors;

GcsPresignRequest gcs_request(const Endpoint& bucket) {
    GcsPresignRequest out;
    out.bucket = &bucket;
    out.object = "acme/a b.csv";
    out.access_id = "robot@project.iam.gserviceaccount.com";
    out.unix_s = 1'700'000'000;
    out.expires_seconds = 900;
    return out;
}

TEST(GcsPresign, SignsWhatThePublicHalfVerifies) {
    const auto bucket =
        gcs_bucket_endpoint("https://storage.googleapis.com", "merchant", GcsStyle::kPath);
    const auto key = PrivateKey::parse(testing::kRsaKey);
    const auto link = presign_gcs(gcs_request(*bucket), *key);
    ASSERT_TRUE(link);
    EXPECT_TRUE(link->url.starts_with(
        "https://storage.googleapis.com/merchant/acme/a%20b.csv?X-Goog-Algorithm=GOOG4-RSA-SHA256&"
        "X-Goog-Credential=robot%40project.iam.gserviceaccount.com%2F20231114%2Fauto%2Fstorage%2F"
        "goog4_request&X-Goog-Date=20231114T221320Z&X-Goog-Expires=900&"
        "X-Goog-SignedHeaders=host&X-Goog-Signature="));
    const std::string hex = link->url.substr(link->url.rfind('=') + 1);
    ASSERT_EQ(hex.size(), 512U);
    std::string signature;
    for (std::size_t at = 0; at < hex.size(); at += 2)
        signature += static_cast<char>(std::stoi(hex.substr(at, 2), nullptr, 16));
    EXPECT_TRUE(key->verify(SignatureDigest::kSha256, link->string_to_sign, signature));
}

// An HMAC key of the XML API: the same request, another algorithm, and a key derived from GOOG4.
TEST(GcsPresign, HmacKeysUseTheirOwnNames) {
    const auto bucket =
        gcs_bucket_endpoint("https://storage.googleapis.com", "merchant", GcsStyle::kVirtual);
    const auto key = derive_sigv4_key("secret", "20231114", "auto", "storage", kGoogleHmac);
    EXPECT_NE(key, derive_sigv4_key("secret", "20231114", "auto", "storage"));
    const auto link = presign_gcs(gcs_request(*bucket), key);
    ASSERT_TRUE(link);
    EXPECT_NE(link->url.find("https://merchant.storage.googleapis.com/acme/"), std::string::npos);
    EXPECT_NE(link->url.find("X-Goog-Algorithm=GOOG4-HMAC-SHA256"), std::string::npos);
    EXPECT_EQ(link->url.size() - link->url.rfind('=') - 1, 64U);
    EXPECT_TRUE(link->string_to_sign.starts_with("GOOG4-HMAC-SHA256\n20231114T221320Z\n20231114/"));
}

TEST(GcsPresign, RefusesWhatCannotWork) {
    const auto bucket =
        gcs_bucket_endpoint("https://storage.googleapis.com", "merchant", GcsStyle::kPath);
    const auto rsa = PrivateKey::parse(testing::kRsaKey);
    const auto refused = [&](auto change) {
        GcsPresignRequest request = gcs_request(*bucket);
        change(request);
        return !presign_gcs(request, *rsa);
    };
    EXPECT_TRUE(refused([](auto& r) { r.expires_seconds = 604'801; }));
    EXPECT_TRUE(refused([](auto& r) { r.expires_seconds = 0; }));
    EXPECT_TRUE(refused([](auto& r) { r.access_id = ""; }));
    EXPECT_TRUE(refused([](auto& r) { r.object = "a/../b"; }));
    EXPECT_FALSE(presign_gcs(gcs_request(*bucket), *PrivateKey::parse(testing::kEcKey)));
    EXPECT_FALSE(gcs_bucket_endpoint("https://x", "UPPER", GcsStyle::kPath));
    EXPECT_FALSE(gcs_bucket_endpoint("https://10.0.0.1", "merchant", GcsStyle::kVirtual));
}

// Which host the client libraries of the conformance file end up with.
std::string gcs_base(const json& in) {
    const std::string scheme = text_of(in, "scheme");
    const auto with_scheme = [&](const std::string& host) {
        return host.find("://") == std::string::npos ? scheme + "://" + host : host;
    };
    for (const char* source :
         {"bucket_bound_hostname", "hostname", "endpoint", "emulator_hostname"}) {
        if (!text_of(in, source).empty()) return with_scheme(text_of(in, source));
    }
    const std::string universe = text_of(in, "universe_domain");
    return scheme + "://storage." + (universe.empty() ? "googleapis.com" : universe);
}

TEST(GcsPresign, MatchesThePublishedVectors) {
    const auto file = vectors::read("gcs_v4.json");
    if (!file) GTEST_SKIP() << file.error();
    for (const json& each : (*file)["cases"]) {
        SCOPED_TRACE(each["name"]);
        const json& in = each["input"];
        const std::string style = text_of(in, "url_style");
        auto where = gcs_bucket_endpoint(gcs_base(in), text_of(in, "bucket"),
                                         style == "bucket_bound" ? GcsStyle::kBucketBound
                                         : style == "virtual"    ? GcsStyle::kVirtual
                                                                 : GcsStyle::kPath);
        ASSERT_TRUE(where) << where.error().message;
        // Three cases sign "localhost" for a request that is sent to localhost:8080. What is sent
        // is what has to be signed, so ours has the port; without it, it is theirs.
        const bool without_port = where->host == "localhost:8080";
        if (without_port) {
            EXPECT_TRUE(each["quirk"].is_string());
            where->host = "localhost";
        }
        std::vector<std::pair<std::string, std::string>> query, headers;
        for (const auto& item : in["query"].items()) query.emplace_back(item.key(), item.value());
        for (const auto& item : in["headers"].items()) {
            if (item.value().is_string()) {
                headers.emplace_back(item.key(), item.value());
                continue;
            }
            for (const json& value : item.value()) headers.emplace_back(item.key(), value);
        }
        const std::string method = text_of(in, "method"), object = text_of(in, "object"),
                          email = text_of(in, "client_email");
        GcsPresignRequest request;
        request.method = method;
        request.bucket = &*where;
        request.object = object;
        request.access_id = email;
        request.unix_s = *parse_iso8601_seconds(text_of(in, "timestamp"));
        request.expires_seconds = in["expires_seconds"];
        request.query = views_of(query);
        request.headers = views_of(headers);
        const auto signed_url = presign_gcs(request, key_of(*file, text_of(in, "private_key_ref")));
        ASSERT_TRUE(signed_url) << signed_url.error().message;
        EXPECT_EQ(signed_url->canonical_request,
                  each["expected_canonical_request"].get<std::string>());
        EXPECT_EQ(signed_url->string_to_sign, each["expected_string_to_sign"].get<std::string>());
        EXPECT_TRUE(signed_url->url.ends_with("X-Goog-Signature=" +
                                              each["expected_signature"].get<std::string>()));
        EXPECT_EQ(pairs_of(signed_url->url), pairs_of(text_of(each, "expected_url")));
    }
    EXPECT_GE((*file)["cases"].size(), 29U);
}

}  // namespace
}  // namespace export_worker::signing
