#include "signing/azure_sas.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/base64.hpp"
#include "base/json.hpp"
#include "signing/percent_encoding.hpp"
#include "tests/unit/support/signing_vectors.hpp"

namespace export_worker::signing {
namespace {

using nlohmann::json;
using namespace vectors;

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
    EXPECT_NE(error([](auto& r) { r.resource = "bs"; }).find("snapshot: missing"),
              std::string::npos);
    EXPECT_NE(error([](auto& r) { r.resource = "bv"; }).find("version_id: missing"),
              std::string::npos);
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
    const AzureDelegationKey broken{"o\n", "t", "s", "e", "b", "v"};
    EXPECT_EQ(error([&](auto& r) { r.delegation_key = &broken; }),
              "expected fields without line breaks");
    EXPECT_EQ(error([](auto& r) {
                  r.identifier = "policy";
                  r.expiry = "";
                  r.permissions = "";
              }),
              "accepted");
}

TEST(AzureSas, MatchesThePublishedVectors) {
    const auto file = vectors::read("azure_sas.json");
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

}  // namespace
}  // namespace export_worker::signing
