// Google, Azure and CloudFront without the published vectors: layouts, boundaries, refusals.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/base64.hpp"
#include "base/crypto/private_key.hpp"
#include "signing/azure_sas.hpp"
#include "signing/cloudfront_sign.hpp"
#include "signing/gcs_presign.hpp"
#include "signing/percent_encoding.hpp"
#include "signing/store_link.hpp"
#include "tests/unit/support/test_keys.hpp"

namespace export_worker::signing {
namespace {

using crypto::PrivateKey;
using crypto::SignatureDigest;

// RFC 4648, section 10.
TEST(Base64, MatchesTheStandardsExamples) {
    for (const auto& [bytes, text] :
         std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                          {"f", "Zg=="},
                                                          {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},
                                                          {"foobar", "Zm9vYmFy"},
                                                          {"\xfb\xff", "+/8="}}) {
        EXPECT_EQ(to_base64(bytes), text);
        EXPECT_EQ(from_base64(text), bytes);
    }
    for (const char* bad : {"Z", "Zg", "Zg=", "Zg==x", "Zh==", "Z*==", "=Zg=", "Zg==\n", "-_8="})
        EXPECT_FALSE(from_base64(bad)) << bad;
    std::string url;
    append_base64url(url, "\xfb\xff");
    EXPECT_EQ(url, "-_8");
}

TEST(PrivateKey, ReadsEveryFormAndSignsVerifiably) {
    const auto rsa = PrivateKey::parse(testing::kRsaKey);
    const auto ec = PrivateKey::parse(testing::kEcKey);
    ASSERT_TRUE(rsa && ec);
    EXPECT_EQ(rsa->kind(), PrivateKey::Kind::kRsa);
    EXPECT_EQ(ec->kind(), PrivateKey::Kind::kEcP256);
    for (const SignatureDigest digest : {SignatureDigest::kSha1, SignatureDigest::kSha256}) {
        EXPECT_TRUE(rsa->verify(digest, "text", rsa->sign(digest, "text")));
        EXPECT_FALSE(rsa->verify(digest, "texT", rsa->sign(digest, "text")));
        EXPECT_EQ(rsa->sign(digest, "text"),
                  PrivateKey::parse(testing::kRsaKeyPkcs1)->sign(digest, "text"));
    }
    EXPECT_TRUE(
        PrivateKey::parse(testing::kEcKeySec1)
            ->verify(SignatureDigest::kSha256, "text", ec->sign(SignatureDigest::kSha256, "text")));
    for (const std::string& bad :
         {std::string(), std::string("SEKRET"), std::string(testing::kEd25519Key),
          std::string(testing::kRsaKey).substr(0, 300),
          std::string("-----BEGIN PRIVATE KEY-----\nSEKRET\n-----END PRIVATE KEY-----\n")}) {
        const auto refused = PrivateKey::parse(bad);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(refused.error().message.find("SEKRET"), std::string::npos);
    }
}

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

AzureSasRequest azure_request(const Endpoint& endpoint) {
    AzureSasRequest out;
    out.account = "acct";
    out.endpoint = &endpoint;
    out.container = "exports";
    out.blob = "acme/a b+%.csv";
    out.permissions = "r";
    out.expiry = "2026-01-01T00:00:00Z";
    out.protocol = "https";
    return out;
}

std::int64_t lines_of(const AzureSasRequest& request) {
    const auto sas = sign_azure_sas(request, "key");
    EXPECT_TRUE(sas) << sas.error().message;
    return sas ? std::ranges::count(sas->string_to_sign, '\n') + 1 : 0;
}

// The number of fields says which layout it is: "Create a service SAS", "Create a user delegation
// SAS", table by table.
TEST(AzureSas, EveryVersionHasItsLayout) {
    const auto endpoint = parse_endpoint("https://acct.blob.core.windows.net");
    AzureSasRequest request = azure_request(*endpoint);
    for (const auto& [version, lines] :
         std::vector<std::pair<const char*, int>>{{"2015-04-05", 13},
                                                  {"2018-03-28", 13},
                                                  {"2018-11-09", 15},
                                                  {"2020-10-02", 15},
                                                  {"2020-12-06", 16},
                                                  {"2022-11-02", 16},
                                                  {"2026-04-06", 16}}) {
        request.version = version;
        EXPECT_EQ(lines_of(request), lines) << version;
    }
    const AzureDelegationKey key{"oid", "tid",       "2025-12-31T00:00:00Z", "2026-01-02T00:00:00Z",
                                 "b",   "2022-11-02"};
    request.delegation_key = &key;
    for (const auto& [version, lines] :
         std::vector<std::pair<const char*, int>>{{"2018-11-09", 20},
                                                  {"2020-02-10", 23},
                                                  {"2020-12-06", 24},
                                                  {"2025-07-05", 26},
                                                  {"2026-04-06", 28}}) {
        request.version = version;
        EXPECT_EQ(lines_of(request), lines) << version;
    }
}

TEST(AzureSas, NamesAreSignedAsTheyAreAndSentEncoded) {
    const auto endpoint = parse_endpoint("http://127.0.0.1:10000/devstoreaccount1");
    AzureSasRequest request = azure_request(*endpoint);
    request.version = "2022-11-02";
    request.content_disposition = "attachment; filename=\"a.csv\"";
    const auto sas = sign_azure_sas(request, "key");
    ASSERT_TRUE(sas);
    EXPECT_EQ(sas->string_to_sign,
              "r\n\n2026-01-01T00:00:00Z\n/blob/acct/exports/acme/a b+%.csv\n\n\nhttps\n"
              "2022-11-02\nb\n\n\n\nattachment; filename=\"a.csv\"\n\n\n");
    EXPECT_TRUE(sas->url.starts_with(
        "http://127.0.0.1:10000/devstoreaccount1/exports/acme/a%20b%2B%25.csv?sv=2022-11-02&"));
    EXPECT_EQ(sas->url, sas->url.substr(0, sas->url.find('?') + 1) + sas->query);
    EXPECT_NE(sas->query.find("&rscd=attachment%3B%20filename%3D%22a.csv%22&sig="),
              std::string::npos);
    EXPECT_TRUE(sas->query.ends_with("%3D"));  // The padding of the signature.
}

TEST(AzureSas, SnapshotsAndVersionsAreNamedInTheUrl) {
    const auto endpoint = parse_endpoint("https://acct.blob.core.windows.net");
    AzureSasRequest request = azure_request(*endpoint);
    request.resource = "bs";
    request.snapshot = "2026-01-01T00:00:00.0000000Z";
    EXPECT_NE(sign_azure_sas(request, "k")->url.find("?snapshot=2026-01-01T00%3A00"),
              std::string::npos);
    request.resource = "bv";
    EXPECT_FALSE(sign_azure_sas(request, "k"));
    request.snapshot = "";
    request.version_id = "2026-01-01T00:00:00.0000001Z";
    const auto sas = sign_azure_sas(request, "k");
    EXPECT_NE(sas->url.find("?versionid=2026"), std::string::npos);
    EXPECT_NE(sas->string_to_sign.find("\nbv\n2026-01-01T00:00:00.0000001Z\n"), std::string::npos);
}

TEST(AzureSas, RefusesWhatTheServiceWould) {
    const auto endpoint = parse_endpoint("https://acct.blob.core.windows.net");
    const AzureDelegationKey key{"o", "t", "s", "e", "b", "v"};
    const auto error = [&](auto change) {
        AzureSasRequest request = azure_request(*endpoint);
        change(request);
        const auto sas = sign_azure_sas(request, "key");
        return sas ? std::string("accepted") : sas.error().message;
    };
    EXPECT_NE(error([](auto& r) { r.version = "2014-02-14"; }).find("2015-04-05"),
              std::string::npos);
    EXPECT_NE(error([](auto& r) { r.version = "2030-01-01"; }).find("2026-04-06"),
              std::string::npos);
    EXPECT_NE(error([](auto& r) { r.version = "today"; }).find("version"), std::string::npos);
    EXPECT_NE(error([](auto& r) { r.permissions = "wr"; }).find("order"), std::string::npos);
    EXPECT_NE(error([](auto& r) { r.permissions = "rz"; }).find("permissions"), std::string::npos);
    EXPECT_NE(error([](auto& r) { r.protocol = "http"; }).find("https"), std::string::npos);
    EXPECT_NE(error([](auto& r) { r.resource = "d"; }).find("resource"), std::string::npos);
    EXPECT_NE(error([](auto& r) { r.expiry = ""; }).find("expiry"), std::string::npos);
    EXPECT_NE(error([](auto& r) { r.account = ""; }).find("account"), std::string::npos);
    EXPECT_NE(error([](auto& r) { r.container = "a/b"; }).find("container"), std::string::npos);
    EXPECT_NE(error([](auto& r) { r.blob = "a\nb"; }).find("line breaks"), std::string::npos);
    EXPECT_NE(error([](auto& r) { r.content_type = "a\r"; }).find("line breaks"),
              std::string::npos);
    EXPECT_NE(error([](auto& r) {
                  r.version = "2018-11-09";
                  r.encryption_scope = "s";
              }).find("2020-12-06"),
              std::string::npos);
    EXPECT_NE(error([&](auto& r) {
                  r.delegation_key = &key;
                  r.identifier = "policy";
              }).find("stored policy"),
              std::string::npos);
    EXPECT_EQ(error([](auto& r) {
                  r.identifier = "policy";
                  r.expiry = "";
                  r.permissions = "";
              }),
              "accepted");
}

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

TEST(StoreLink, SecretsThatDoNotFitAreRefusedAndNotRepeated) {
    const auto store = [](std::map<std::string, std::string> values) {
        return *parse_store("s", values);
    };
    const Store azure = store({{"kind", "azure"}, {"prefix", "az://exports/"}, {"account", "a"}});
    const Store cdn = store({{"kind", "cloudfront"}, {"base_url", "https://d1"}});
    for (const Store& each : {azure, cdn}) {
        const auto key = make_signing_key(each, {"id", "SEKRET!", ""}, 0);
        ASSERT_FALSE(key);
        EXPECT_EQ(key.error().message.find("SEKRET"), std::string::npos);
    }
}

TEST(StoreLink, CarriesTheNameWhereTheProviderAllows) {
    StoreLinkRequest request;
    request.key = "acme/x.csv";
    request.times = {1'700'000'000, 1'700'000'900};
    request.disposition = "attachment; filename=\"it's.csv\"";
    request.filename = "it's.csv";
    const auto link = [&](std::map<std::string, std::string> values, const char* secret) {
        const auto store = parse_store("s", values);
        const auto key = make_signing_key(*store, {"ID", secret, ""}, 1'700'000'000);
        EXPECT_TRUE(key) << key.error().message;
        const auto out = sign_store_link(*store, *key, request);
        EXPECT_TRUE(out) << out.error().message;
        return out->url;
    };
    const std::string encoded = "attachment%3B%20filename%3D%22it%27s.csv%22";
    EXPECT_NE(link({{"kind", "s3"}, {"prefix", "s3://merchant/"}, {"region", "r"}}, "s")
                  .find("response-content-disposition=" + encoded),
              std::string::npos);
    EXPECT_NE(link({{"kind", "gcs"}, {"prefix", "gs://merchant/"}}, testing::kRsaKey)
                  .find("response-content-disposition=" + encoded),
              std::string::npos);
    EXPECT_NE(link({{"kind", "azure"}, {"prefix", "az://exports/"}, {"account", "a"}}, "a2V5")
                  .find("rscd=" + encoded),
              std::string::npos);
    EXPECT_EQ(link({{"kind", "cloudfront"}, {"base_url", "https://d1"}}, testing::kEcKey)
                  .find("disposition"),
              std::string::npos);
    EXPECT_NE(
        link({{"kind", "cloudfront"}, {"base_url", "https://d1"}, {"forward_disposition", "on"}},
             testing::kEcKey)
            .find("?response-content-disposition=" + encoded + "&Expires=1700000900&"),
        std::string::npos);
}

}  // namespace
}  // namespace export_worker::signing
