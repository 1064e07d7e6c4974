#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "daemon/model/product.hpp"
#include "exportctl/generate.hpp"
#include "exportctl/sign.hpp"

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

TEST(Sign, EveryMistakeIsNamed) {
    const auto message = [](const char* line) {
        return sign_line(line, false)["error"]["message"].get<std::string>();
    };
    EXPECT_NE(message("not json").find("one JSON object"), std::string::npos);
    EXPECT_NE(message(R"({"provider":"ftp"})").find("provider"), std::string::npos);
    EXPECT_NE(message(R"({"provider":"s3"})").find("bucket: missing"), std::string::npos);
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
}

}  // namespace
}  // namespace export_worker::exportctl
