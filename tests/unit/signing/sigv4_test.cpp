#include "signing/sigv4.hpp"

#include <gtest/gtest.h>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "signing/signing_time.hpp"
#include "tests/unit/support/signing_vectors.hpp"

namespace export_worker::signing {
namespace {

using nlohmann::json;
using namespace vectors;

// The published AWS signing suite.
TEST(SigV4, MatchesThePublishedVectors) {
    const auto file = vectors::read("s3_sigv4_presign.json");
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

}  // namespace
}  // namespace export_worker::signing
