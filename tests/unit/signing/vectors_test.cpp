// The published signing vectors. Without their folder each test is skipped.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <tl/expected.hpp>

#include "base/base64.hpp"
#include "base/clock.hpp"
#include "base/crypto/private_key.hpp"
#include "base/json.hpp"
#include "signing/azure_sas.hpp"
#include "signing/cloudfront_sign.hpp"
#include "signing/gcs_presign.hpp"
#include "signing/percent_encoding.hpp"
#include "signing/signing_time.hpp"
#include "signing/sigv4.hpp"
#include "tests/unit/support/paths.hpp"
#include "tests/unit/support/skips.hpp"

namespace export_worker::signing {
namespace {

using nlohmann::json;

// The parsed file of the vectors' folder, or why the test is to be skipped.
tl::expected<json, std::string> vectors(const std::string& name) {
    if (testing::left_out("vectors"))
        return tl::unexpected(std::string(testing::kLeftOut) + "vectors");
    const std::string path = testing::vectors_directory() + "/" + name;
    std::ifstream file(path);
    if (!file) return tl::unexpected(path + " is missing; set EXPORT_WORKER_VECTORS_DIR");
    return json::parse(file);
}

std::string text_of(const json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? std::string() : found->get<std::string>();
}

std::int64_t number_of(const json& object, const char* name) {
    return object[name].is_null() ? 0 : object[name].get<std::int64_t>();
}

// "key" of the file's "keys", each DER in base64, as PEM.
crypto::PrivateKey key_of(const json& file, const std::string& name) {
    const json& key = file["keys"][name];
    EXPECT_EQ(key["form"], "PKCS#8");
    return *crypto::PrivateKey::parse("-----BEGIN PRIVATE KEY-----\n" +
                                      key["der_base64"].get<std::string>() +
                                      "\n-----END PRIVATE KEY-----\n");
}

std::set<std::string> pairs_of(std::string_view url) {
    std::set<std::string> out;
    std::string_view query = url.substr(url.find('?') + 1);
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        out.emplace(query.substr(0, end));
        query.remove_prefix(std::min(end + 1, query.size()));
    }
    return out;
}

NamesAndValues views_of(const std::vector<std::pair<std::string, std::string>>& pairs) {
    NamesAndValues out;
    for (const auto& [name, value] : pairs) out.emplace_back(name, value);
    return out;
}

// The published AWS signing suite.
TEST(SigV4, MatchesThePublishedVectors) {
    const auto file = vectors("s3_sigv4_presign.json");
    if (!file) GTEST_SKIP() << file.error();
    for (const json& each : (*file)["cases"]) {
        SCOPED_TRACE(each["name"]);
        ASSERT_EQ(each["kind"], "sigv4_generic");
        const json& in = each["input"];
        const std::string service = text_of(in, "service"), region = text_of(in, "region"),
                          key_id = text_of(in, "access_key_id"),
                          token = text_of(in, "session_token"), method = text_of(in, "method"),
                          path = text_of(in, "canonical_path"),
                          payload = text_of(in, "payload_hash"), host = text_of(in, "host");
        std::vector<std::pair<std::string, std::string>> query, headers{{"host", host}};
        for (const json& pair : in["query"]) query.emplace_back(pair[0], pair[1]);
        for (const json& pair : in["headers"]) headers.emplace_back(pair[0], pair[1]);
        SigV4Request request;
        request.method = method;
        request.canonical_path = path;
        const NamesAndValues query_views = views_of(query), header_views = views_of(headers);
        request.query = query_views;
        request.headers = header_views;
        request.payload_hash = payload;
        request.service = service;
        request.region = region;
        request.access_key_id = key_id;
        request.session_token = token;
        request.sign_session_token = !in["omit_session_token"].get<bool>();
        request.unix_s = *parse_iso8601_seconds(text_of(in, "timestamp"));
        request.expires_seconds = in["expires_seconds"];
        const SigningTime time(request.unix_s);
        const SigV4Signature signature = presign_sigv4(
            request,
            derive_sigv4_key(text_of(in, "secret_access_key"), time.day(), region, service));
        EXPECT_EQ(signature.canonical_request,
                  each["expected_canonical_request"].get<std::string>());
        EXPECT_EQ(signature.string_to_sign, each["expected_string_to_sign"].get<std::string>());
        EXPECT_TRUE(signature.query.ends_with("X-Amz-Signature=" +
                                              each["expected_signature"].get<std::string>()));
        // The path as it was typed, up to the query.
        const std::string typed = text_of(in, "request_text");
        const std::size_t begin = typed.find(' ') + 1;
        const std::size_t end = std::min(typed.find("?", begin), typed.find(" HTTP/", begin));
        EXPECT_EQ(sigv4_canonical_path(typed.substr(begin, end - begin),
                                       in["normalize_path"].get<bool>()),
                  path);
    }
    EXPECT_GE((*file)["cases"].size(), 30U);
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
    const auto file = vectors("gcs_v4.json");
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

TEST(AzureSas, MatchesThePublishedVectors) {
    const auto file = vectors("azure_sas.json");
    if (!file) GTEST_SKIP() << file.error();
    for (const json& each : (*file)["cases"]) {
        SCOPED_TRACE(each["name"]);
        const json& in = each["input"];
        std::map<std::string, std::string> texts;
        for (const auto& item : in.items()) {
            if (item.value().is_string()) texts[item.key()] = item.value();
        }
        const auto where = parse_endpoint(texts["endpoint"]);
        ASSERT_TRUE(where);
        AzureSasRequest request;
        request.account = texts["account"];
        request.endpoint = &*where;
        request.container = texts["container"];
        request.blob = texts["blob"];
        request.version = texts["version"];
        request.resource = texts["signed_resource"];
        request.permissions = texts["permissions"];
        request.start = texts["start"];
        request.expiry = texts["expiry"];
        request.protocol = texts["protocol"];
        const auto key = from_base64(texts["account_key"]);
        ASSERT_TRUE(key);
        const auto sas = sign_azure_sas(request, *key);
        ASSERT_TRUE(sas) << sas.error().message;
        EXPECT_EQ(sas->string_to_sign, each["expected_string_to_sign"].get<std::string>());
        std::map<std::string, std::string> parameters;
        for (const std::string& pair : pairs_of("?" + sas->query))
            parameters[pair.substr(0, pair.find('='))] =
                *percent_decode(pair.substr(pair.find('=') + 1));
        EXPECT_EQ(parameters,
                  (each["expected_sas_params"].get<std::map<std::string, std::string>>()));
        EXPECT_EQ(parameters["sig"], each["expected_signature"].get<std::string>());
    }
    EXPECT_GE((*file)["cases"].size(), 3U);
}

TEST(CloudFront, MatchesThePublishedVectors) {
    const auto file = vectors("cloudfront.json");
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
