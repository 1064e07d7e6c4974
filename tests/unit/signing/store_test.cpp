#include "signing/store.hpp"

#include <gtest/gtest.h>

#include <map>

#include "base/shared_limits.hpp"
#include "signing/link_times.hpp"
#include "signing/object_key.hpp"

namespace export_worker::signing {
namespace {

using Values = std::map<std::string, std::string>;

std::vector<Store> stores_of(const std::vector<std::pair<std::string, Values>>& all) {
    std::vector<Store> out;
    for (const auto& [name, values] : all) {
        auto store = parse_store(name, values);
        EXPECT_TRUE(store) << store.error().message;
        if (store) out.push_back(std::move(*store));
    }
    return out;
}

const Values kBucket{{"kind", "s3"}, {"prefix", "s3://merchant/"}, {"region", "eu-central-1"}};

// "STORE KEY", or the error.
std::string located(const std::vector<Store>& stores, const std::string& file_url,
                    const std::string& organization = "acme") {
    const auto location = locate(stores, file_url, organization);
    return location ? location->store->name + " " + location->key : location.error().message;
}

TEST(Locate, EverySpellingOfEveryStoreIsTheSameObject) {
    const auto stores = stores_of(
        {{"s3", kBucket},
         {"minio",
          {{"kind", "s3"},
           {"prefix", "s3://internal/"},
           {"region", "us-east-1"},
           {"addressing", "path"},
           {"endpoint", "http://minio:9000"},
           {"public_endpoint", "https://files.example.com/gateway"}}},
         {"gcs", {{"kind", "gcs"}, {"prefix", "gs://merchant-g/"}}},
         {"bound",
          {{"kind", "gcs"},
           {"prefix", "gs://bound-g/"},
           {"style", "bucket_bound"},
           {"public_endpoint", "https://g.example.com"}}},
         {"azure", {{"kind", "azure"}, {"prefix", "az://exports/"}, {"account", "acct"}}},
         {"emulator",
          {{"kind", "azure"},
           {"prefix", "az://local/"},
           {"account", "devstoreaccount1"},
           {"endpoint", "http://127.0.0.1:10000/devstoreaccount1"}}},
         {"cdn",
          {{"kind", "cloudfront"},
           {"base_url", "https://d111.cloudfront.net/"},
           {"prefix", "s3://behind-cdn/exports/"}}},
         {"local",
          {{"kind", "local"}, {"root", "/srv/a b"}, {"base_url", "https://d.example.com"}}}});
    for (const auto& [file_url, store] : std::vector<std::pair<std::string, std::string>>{
             {"s3://merchant/", "s3"},
             {"https://merchant.s3.eu-central-1.amazonaws.com/", "s3"},
             {"https://s3.eu-central-1.amazonaws.com/merchant/", "s3"},
             {"https://merchant.s3.amazonaws.com/", "s3"},
             {"https://s3.amazonaws.com/merchant/", "s3"},
             {"https://merchant.s3.dualstack.eu-central-1.amazonaws.com/", "s3"},
             {"HTTPS://Merchant.S3.eu-central-1.AmazonAWS.com/", "s3"},
             {"s3://internal/", "minio"},
             {"http://minio:9000/internal/", "minio"},
             {"https://files.example.com/gateway/internal/", "minio"},
             {"gs://merchant-g/", "gcs"},
             {"https://storage.googleapis.com/merchant-g/", "gcs"},
             {"https://merchant-g.storage.googleapis.com/", "gcs"},
             {"https://g.example.com/", "bound"},
             {"https://storage.googleapis.com/bound-g/", "bound"},
             {"az://exports/", "azure"},
             {"https://acct.blob.core.windows.net/exports/", "azure"},
             {"http://127.0.0.1:10000/devstoreaccount1/local/", "emulator"},
             {"https://d111.cloudfront.net/", "cdn"},
             {"s3://behind-cdn/exports/", "cdn"},
             {"file:///srv/a%20b/", "local"},
             {"file://localhost/srv/a%20b/", "local"}})
        EXPECT_EQ(located(stores, file_url + "acme/x.csv"), store + " acme/x.csv") << file_url;
    for (const char* strange :
         {"s3://merchantx/acme/x.csv", "s3://other/acme/x.csv", "https://evil.example/acme/x.csv",
          "https://merchant.s3.eu-central-1.amazonaws.com.evil/acme/x.csv",
          "https://acct.blob.core.windows.net/exportsx/acme/x.csv", "file:///srv/a%20bc/acme/x",
          "file:///etc/passwd", "file://localhost.evil/srv/a%20b/acme/x", "ftp://merchant/acme/x",
          "acme/x.csv", "", "s3://merchant"})
        EXPECT_EQ(located(stores, strange), "file_url: no configured store has this prefix")
            << strange;
}

// What follows s3:// is the key itself; what follows https:// is its encoding.
TEST(Locate, KeysAreExact) {
    const auto stores = stores_of({{"s3", kBucket}});
    const std::string raw = "s3://merchant/acme/";
    const std::string web = "https://merchant.s3.eu-central-1.amazonaws.com/acme/";
    for (const auto& [key, encoded] :
         std::vector<std::pair<std::string, std::string>>{{"a b", "a%20b"},
                                                          {"a+b", "a+b"},
                                                          {"a+b", "a%2Bb"},
                                                          {"50%", "50%25"},
                                                          {"a?b", "a%3Fb"},
                                                          {"a#b", "a%23b"},
                                                          {"x//y/", "x//y/"},
                                                          {"a%2Fb", "a%252Fb"},
                                                          {"caf\xc3\xa9", "caf%C3%A9"},
                                                          {"cafe\xcc\x81", "cafe%CC%81"},
                                                          {"🟢", "%F0%9F%9F%A2"},
                                                          {"..a/b..", "..a/b.."},
                                                          {"...", "..."}}) {
        EXPECT_EQ(located(stores, raw + key), "s3 acme/" + key);
        EXPECT_EQ(located(stores, web + encoded), "s3 acme/" + key) << encoded;
    }
    EXPECT_NE(located(stores, web + "a%zz").find("two hex digits"), std::string::npos);
    EXPECT_NE(located(stores, web + "a?versionId=1").find("%3F"), std::string::npos);
    EXPECT_NE(located(stores, web + "a#b").find("fragment"), std::string::npos);
    for (const std::string& dead : {raw + "../x", raw + "a/./b", web + "a/%2e%2E/b"})
        EXPECT_NE(located(stores, dead).find("no link to this object can work"), std::string::npos)
            << dead;
    EXPECT_NE(located(stores, raw + std::string(2000, 'x')).find("at most"), std::string::npos);
    EXPECT_NE(located(stores, raw + std::string(1020, 'x')).find("1024"), std::string::npos);
}

TEST(Locate, OnlyBelowTheOrganizationsPrefixUnlessSwitchedOff) {
    Values deep = kBucket;
    deep["prefix"] = "s3://merchant/exports/";
    auto stores = stores_of({{"deep", deep}});
    EXPECT_EQ(located(stores, "s3://merchant/exports/acme/x"), "deep exports/acme/x");
    for (const char* other :
         {"s3://merchant/exports/other/x", "s3://merchant/exports/acmee/x",
          "s3://merchant/exports/acme", "s3://merchant/exports/acme/", "s3://merchant/exports/x",
          "https://merchant.s3.amazonaws.com/exports/%61cme2/x"})
        EXPECT_EQ(located(stores, other), "file_url: it is not below the organization's own prefix")
            << other;
    EXPECT_NE(located(stores, "s3://merchant/exports//x", "").find("own prefix"),
              std::string::npos);
    EXPECT_NE(located(stores, "s3://merchant/elsewhere/acme/x").find("no configured store"),
              std::string::npos);
    deep["organization_prefix"] = "off";
    stores = stores_of({{"deep", deep}});
    EXPECT_EQ(located(stores, "s3://merchant/exports/other/x"), "deep exports/other/x");
}

TEST(Locate, TheUrlIsBounded) {
    const auto stores = stores_of({{"a", kBucket}});
    const std::string url = "s3://merchant/acme/" + std::string(limits::kFileUrlBytesMax - 19, 'x');
    ASSERT_EQ(url.size(), limits::kFileUrlBytesMax);
    EXPECT_TRUE(locate(stores, url.substr(0, 900), "acme"));
    const auto refused = locate(stores, url + "x", "acme");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().message, "file_url: expected at most 2048 bytes, found 2049");
}

TEST(Locate, TheLongestPrefixWins) {
    Values deep = kBucket;
    deep["prefix"] = "s3://merchant/acme/deep/";
    deep["organization_prefix"] = "off";
    for (const auto& order :
         {std::vector<std::pair<std::string, Values>>{{"a", kBucket}, {"b", deep}},
          {{"b", deep}, {"a", kBucket}}}) {
        const auto stores = stores_of(order);
        EXPECT_EQ(located(stores, "s3://merchant/acme/deep/x"), "b acme/deep/x");
        EXPECT_EQ(located(stores, "s3://merchant/acme/x"), "a acme/x");
        EXPECT_EQ(located(stores, "https://s3.amazonaws.com/merchant/acme/deep/x"),
                  "b acme/deep/x");
    }
}

TEST(Store, WritesTheUrlThatItReads) {
    for (const Values& values :
         {kBucket, Values{{"kind", "gcs"}, {"prefix", "gs://merchant-g/"}},
          Values{{"kind", "azure"}, {"prefix", "az://exports/"}, {"account", "acct"}},
          Values{{"kind", "local"}, {"root", "/srv"}, {"base_url", "https://h"}}}) {
        const auto stores = stores_of({{"s", values}});
        for (const char* key : {"acme/j.1.csv", "acme/a b%+?#é"}) {
            const std::string url = file_url_of(stores[0], key);
            EXPECT_EQ(located(stores, url), std::string("s ") + key) << url;
        }
    }
}

TEST(LinkTimes, AreHonest) {
    LinkTimesRequest request;
    request.now_unix_s = 1'000'000;
    request.lifetime_s = 900;
    auto times = plan_link_times(request);
    EXPECT_EQ(times->signed_unix_s, 1'000'000);
    EXPECT_EQ(times->expires_unix_s, 1'000'900);
    request.credentials_end_unix_s = 1'000'300;
    EXPECT_EQ(plan_link_times(request)->expires_unix_s, 1'000'300);
    request.credentials_end_unix_s = 1'000'000;
    EXPECT_FALSE(plan_link_times(request));
    request.credentials_end_unix_s = 0;
    request.lifetime_max_s = 600;
    EXPECT_EQ(plan_link_times(request)->expires_unix_s, 1'000'600);
    // Signed in the past, and still good for what was asked for from now on.
    request.lifetime_max_s = 604'800;
    request.backdate_s = 120;
    times = plan_link_times(request);
    EXPECT_EQ(times->signed_unix_s, 999'880);
    EXPECT_EQ(times->expires_unix_s, 1'000'900);
}

TEST(LinkTimes, AWindowGivesTheSameLinkAndNeverAShorterOne) {
    LinkTimesRequest request;
    request.lifetime_s = 900;
    request.window_s = 300;
    request.lifetime_max_s = 604'800;
    std::map<std::int64_t, int> links;
    for (request.now_unix_s = 999'900; request.now_unix_s < 1'000'500; ++request.now_unix_s) {
        const auto times = plan_link_times(request);
        ASSERT_TRUE(times);
        EXPECT_GE(times->expires_unix_s - request.now_unix_s, 900);
        EXPECT_LE(times->expires_unix_s - request.now_unix_s, 1200);
        EXPECT_LE(times->signed_unix_s, request.now_unix_s);
        ++links[times->signed_unix_s];
    }
    EXPECT_EQ(links, (std::map<std::int64_t, int>{{999'900, 300}, {1'000'200, 300}}));
    // The end of the credentials is the end, whatever the window.
    request.now_unix_s = 1'000'000;
    request.credentials_end_unix_s = 1'000'100;
    EXPECT_EQ(plan_link_times(request)->expires_unix_s, 1'000'100);
}

}  // namespace
}  // namespace export_worker::signing
