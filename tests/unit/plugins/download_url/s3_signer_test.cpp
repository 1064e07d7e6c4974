#include "plugins/download_url/s3_signer.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "signing/signing_time.hpp"

namespace export_worker::download_url {
namespace {

Store s3_store() {
    Store store;
    store.kind = Store::Kind::kS3;
    store.region = "eu-central-1";
    store.addressing = signing::S3Addressing::kPath;
    return store;
}

ew_credentials credentials(const std::string& secret, std::uint64_t version) {
    ew_credentials out{};
    out.version = version;
    out.key_id = {"AKIA", 4};
    out.secret = {secret.data(), secret.size()};
    out.session_token = {"", 0};
    return out;
}

// What the signer must produce, with nothing kept from one call to the next.
std::string uncached(const Store& store, const std::string& secret, std::int64_t now) {
    signing::S3PresignRequest request;
    request.bucket = "bucket";
    request.key = "k";
    request.region = store.region;
    request.addressing = store.addressing;
    request.access_key_id = "AKIA";
    request.unix_s = now;
    request.expires_seconds = 60;
    request.query = {{"response-content-disposition", "d"}};
    const signing::SigningTime time(now);
    return signing::presign_s3(request,
                               signing::derive_sigv4_key(secret, time.day(), store.region, "s3"))
        ->url;
}

TEST(S3Signer, KeepsItsKeyForTheDayAndTheCredentials) {
    const Store store = s3_store();
    S3Signer signer(store);
    constexpr std::int64_t kJustBeforeMidnight = 1369439999;
    const std::string first = "first-secret";
    const std::string second = "second-secret";
    for (const std::int64_t now :
         {kJustBeforeMidnight, kJustBeforeMidnight, kJustBeforeMidnight + 1, kJustBeforeMidnight}) {
        EXPECT_EQ(*signer.sign("bucket", "k", "d", credentials(first, 1), now, 60),
                  uncached(store, first, now));
    }
    EXPECT_EQ(*signer.sign("bucket", "k", "d", credentials(second, 2), kJustBeforeMidnight, 60),
              uncached(store, second, kJustBeforeMidnight));
}

TEST(S3Signer, ServesManyThreadsAcrossMidnight) {
    const Store store = s3_store();
    S3Signer signer(store);
    const std::string secret = "secret";
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            for (int index = 0; index < 200; ++index) {
                const std::int64_t now = 1369439999 + (index + thread) % 2;
                EXPECT_EQ(*signer.sign("bucket", "k", "d", credentials(secret, 1), now, 60),
                          uncached(store, secret, now));
            }
        });
    }
    for (auto& thread : threads) thread.join();
}

TEST(Stores, TheLongestPrefixWins) {
    const auto stores = read_stores({{"store.a.kind", "s3"},
                                     {"store.a.prefix", "s3://b/"},
                                     {"store.a.region", "r"},
                                     {"store.b.kind", "s3"},
                                     {"store.b.prefix", "s3://b/deep/"},
                                     {"store.b.region", "r"},
                                     {"store.c.kind", "local"},
                                     {"store.c.root", "/srv/a b"},
                                     {"store.c.base_url", "http://h"}});
    ASSERT_TRUE(stores);
    EXPECT_EQ(match_store(*stores, "s3://b/deep/x")->name, "b");
    EXPECT_EQ(match_store(*stores, "s3://b/x")->name, "a");
    EXPECT_EQ(match_store(*stores, "file:///srv/a%20b/x")->name, "c");
    EXPECT_EQ(match_store(*stores, "s3://bx/x"), nullptr);
    EXPECT_EQ(match_store(*stores, "file:///srv/a%20bc/x"), nullptr);
    EXPECT_FALSE(read_stores({{"store.x.kind", "ftp"}}));
}

}  // namespace
}  // namespace export_worker::download_url
