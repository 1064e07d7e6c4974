#include "plugins/download_url/store_signer.hpp"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace export_worker::download_url {
namespace {

constexpr std::int64_t kJustBeforeMidnight = 1369439999;

signing::Store s3_store() {
    return *signing::parse_store("s", {{"kind", "s3"},
                                       {"prefix", "s3://bucket/"},
                                       {"region", "eu-central-1"},
                                       {"addressing", "path"}});
}

ew_credentials credentials(const std::string& secret, std::uint64_t version) {
    ew_credentials out{};
    out.version = version;
    out.key_id = {"AKIA", 4};
    out.secret = {secret.data(), secret.size()};
    out.session_token = {"", 0};
    return out;
}

signing::StoreLinkRequest request_at(std::int64_t now) {
    signing::StoreLinkRequest out;
    out.key = "k";
    out.times = {now, now + 60};
    out.disposition = "d";
    return out;
}

// What the signer must produce, with nothing kept from one call to the next.
std::string uncached(const signing::Store& store, const std::string& secret, std::int64_t now) {
    const auto key = signing::make_signing_key(store, {"AKIA", secret, ""}, now);
    return signing::sign_store_link(store, *key, request_at(now))->url;
}

TEST(StoreSigner, KeepsItsKeyForTheDayAndTheCredentials) {
    const signing::Store store = s3_store();
    StoreSigner signer(store);
    const std::string first = "first-secret";
    const std::string second = "second-secret";
    for (const std::int64_t now :
         {kJustBeforeMidnight, kJustBeforeMidnight, kJustBeforeMidnight + 1, kJustBeforeMidnight}) {
        EXPECT_EQ(signer.sign(request_at(now), credentials(first, 1))->url,
                  uncached(store, first, now));
    }
    EXPECT_EQ(signer.sign(request_at(kJustBeforeMidnight), credentials(second, 2))->url,
              uncached(store, second, kJustBeforeMidnight));
}

TEST(StoreSigner, ServesManyThreadsAcrossMidnightAndRotation) {
    const signing::Store store = s3_store();
    StoreSigner signer(store);
    const std::string secrets[] = {"secret", "newer"};
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            for (unsigned index = 0; index < 200; ++index) {
                const std::int64_t now = kJustBeforeMidnight + (index + thread) % 2;
                const unsigned which = index / 2 % 2;
                EXPECT_EQ(signer.sign(request_at(now), credentials(secrets[which], which + 1))->url,
                          uncached(store, secrets[which], now));
            }
        });
    }
    for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace export_worker::download_url
