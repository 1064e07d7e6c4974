#include "signing/store_link.hpp"

#include <gtest/gtest.h>

#include "signing/store.hpp"
#include "tests/unit/support/test_keys.hpp"

namespace export_worker::signing {
namespace {

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
