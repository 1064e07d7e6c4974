#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "base/json.hpp"
#include "daemon/model/product.hpp"
#include "exportctl/generate.hpp"
#include "exportctl/sign.hpp"
#include "signing/percent_encoding.hpp"
#include "tests/unit/support/paths.hpp"
#include "tests/unit/support/test_keys.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;

TEST(GenerateProduct, IsTheSameForTheSameSeedAndAlwaysImportable) {
    EXPECT_EQ(generate_product(1, 5), generate_product(1, 5));
    EXPECT_NE(generate_product(1, 5), generate_product(2, 5));
    std::string all;
    for (std::uint64_t index = 0; index < 2000; ++index) {
        const std::string line = generate_product(7, index);
        ASSERT_EQ(line.find('\n'), std::string::npos);
        ASSERT_TRUE(model::parse_product(line, nullptr)) << line;
        all += line;
    }
    for (const char* needle : {"\"variants\"", "\"colors\":[", "\"dimensions\":{", "\\n", "\\\"",
                               "é", "\"=SUM", "\"+49", "\"-20%", "\"@home"}) {
        EXPECT_NE(all.find(needle), std::string::npos) << needle;
    }
    for (const char* type : {"shirt", "shoe", "mug", "book", "lamp"})
        EXPECT_NE(all.find("\"productType\":\"" + std::string(type)), std::string::npos);
}

TEST(Sign, S3LinesMatchTheDocumentedExample) {
    const json answer = sign_line(
        R"({"provider":"s3","method":"GET","bucket":"examplebucket","key":"test.txt","region":"us-east-1",
        "endpoint":"https://s3.amazonaws.com","addressing":"virtual","access_key_id":"AKIAIOSFODNN7EXAMPLE",
        "secret_access_key":"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY","session_token":null,"at":"2013-05-24T00:00:00Z","expires_in":86400,"query":{}})",
        true);
    ASSERT_TRUE(answer.contains("url")) << answer;
    EXPECT_TRUE(answer["url"].get<std::string>().ends_with(
        "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"));
    EXPECT_TRUE(answer.contains("string_to_sign"));
    EXPECT_TRUE(answer.contains("canonical_request"));
}

// The order of parameters is free, and one SDK leaves ! ' ( ) * bare in a query: decoded, both are
// the same to every server. Signatures are compared with the rest.
std::set<std::string> decoded_parts(std::string_view url) {
    std::set<std::string> out{*signing::percent_decode(url.substr(0, url.find('?')))};
    url.remove_prefix(url.find('?') + 1);
    while (!url.empty()) {
        const std::size_t end = std::min(url.find('&'), url.size());
        out.insert(*signing::percent_decode(url.substr(0, end)));
        url.remove_prefix(std::min(end + 1, url.size()));
    }
    return out;
}

// Made by the providers' own SDKs, in the versions that tests/node/package.json names.
TEST(Sign, MakesTheLinksTheSdksMake) {
    std::ifstream file(testing::golden_directory() + "/sdk_links.jsonl");
    std::size_t count = 0;
    for (std::string line; std::getline(file, line); ++count) {
        json golden = parse_json_or_throw(line);
        json& request = golden["request"];
        if (request.contains("private_key_pem")) request["private_key_pem"] = testing::kRsaKey;
        const json answer = sign_line(request.dump(), false);
        ASSERT_TRUE(answer.contains("url")) << answer << request;
        EXPECT_EQ(decoded_parts(answer["url"].get<std::string>()),
                  decoded_parts(golden["url"].get<std::string>()))
            << request;
    }
    EXPECT_EQ(count, 28U);
}

TEST(Sign, ExplainsWhatWasSigned) {
    const json azure = {
        {"provider", "azure"},    {"account", "a"},     {"account_key", "a2V5"},
        {"container", "exports"}, {"blob", "x"},        {"version", "2022-11-02"},
        {"resource", "b"},        {"permissions", "r"}, {"expiry", "2026-01-01T00:00:00Z"},
        {"start", nullptr}};
    EXPECT_TRUE(
        sign_line(azure.dump(), true)["string_to_sign"].get<std::string>().starts_with("r\n"));
    EXPECT_FALSE(sign_line(azure.dump(), false).contains("string_to_sign"));
    const json cdn = {{"provider", "cloudfront"}, {"url", "https://d1/x"},
                      {"policy", "canned"},       {"expires_at", 1800000000},
                      {"key_pair_id", "K"},       {"private_key_pem", testing::kEcKey},
                      {"hash", "SHA256"}};
    EXPECT_TRUE(
        sign_line(cdn.dump(), true)["policy"].get<std::string>().starts_with("{\"Statement"));
}

TEST(Sign, EveryMistakeIsNamed) {
    const auto message = [](const char* line) {
        return sign_line(line, false)["error"]["message"].get<std::string>();
    };
    EXPECT_EQ(message("not json"), "expected one JSON object a line, found no JSON");
    EXPECT_EQ(message("[1]"), "expected one JSON object a line, found a list");
    EXPECT_NE(message(R"({"provider":"ftp"})").find("provider"), std::string::npos);
    EXPECT_NE(message(R"({"provider":"s3"})").find("bucket: missing"), std::string::npos);
    EXPECT_NE(message(R"({"provider":"gcs","bucket":"b","style":"diagonal"})").find("style"),
              std::string::npos);
    EXPECT_NE(message(R"({"provider":"azure","account":"a","container":"c","version":"2022-11-02",
                          "resource":"b","overrides":{"colour":"x"}})")
                  .find("colour"),
              std::string::npos);
    EXPECT_NE(message(R"({"provider":"azure","account":"a","container":"c","version":"2022-11-02",
                          "resource":"b","user_delegation_key":{"signed_oid":"x"}})")
                  .find("signed_tid"),
              std::string::npos);
    EXPECT_NE(message(R"({"provider":"cloudfront","url":"https://h","key_pair_id":"K",
                          "private_key_pem":"SEKRET"})")
                  .find("expires_at: missing"),
              std::string::npos);
    EXPECT_NE(
        message(
            R"({"provider":"local","base_url":"http://h","path":"a","key_id":"k","key_hex":"00","at":"2020-01-01T00:00:00Z","expires_in":5,"filename":"f"})")
            .find("16 bytes"),
        std::string::npos);
    EXPECT_NE(
        message(
            R"({"provider":"local","base_url":"http://h","path":"a","key_id":"k","key_hex":"00112233445566778899aabbccddeeff","at":"2020-01-01T00:00:00Z","expires_in":5,"filename":"f","colour":1})")
            .find("colour"),
        std::string::npos);
    EXPECT_NE(
        message(
            R"({"provider":"local","base_url":"http://h","path":"a","key_id":"k","key_hex":"00112233445566778899aabbccddeeff","at":"yesterday","expires_in":5,"filename":"f"})")
            .find("YYYY-MM-DD"),
        std::string::npos);
    EXPECT_NE(message(R"({"provider":"s3","bucket":"b","key":"k","region":"r","access_key_id":"A",
                          "secret_access_key":"SEKRET","at":"2020-01-01T00:00:00Z","expires_in":5,
                          "query":{"a":1}})")
                  .find("query: expected text values"),
              std::string::npos);
    EXPECT_NE(message(R"({"provider":"gcs","bucket":"bucket","client_email":"e",
                          "private_key_pem":"SEKRET","at":true})")
                  .find("at: expected seconds since 1970"),
              std::string::npos);
}

}  // namespace
}  // namespace export_worker::exportctl
