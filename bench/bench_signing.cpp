// Nanoseconds per URL for each provider, beside what OpenSSL alone takes for the same bytes: the
// hash of the canonical request, the MAC or signature of the string to sign. Prints one line a
// provider:
//   NAME OURS_NS BARE_NS
// With a name behind it, that provider only.
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/assert.hpp"
#include "signing/content_disposition.hpp"
#include "signing/signing_time.hpp"
#include "signing/store.hpp"
#include "signing/store_link.hpp"

namespace {

using namespace export_worker;

constexpr std::int64_t kNow = 1795473061;
constexpr const char* kKey = "acme/01a20a70-bd2c-759b-a590-1b6fd44efa16.1.csv";

// The fastest of several rounds: what the work costs when nothing gets in its way. Both columns are
// measured the same way, turn by turn.
double nanoseconds_of(const std::function<void()>& work, int times) {
    const auto begin = std::chrono::steady_clock::now();
    for (int index = 0; index < times; ++index) work();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    return took.count() / times;
}

std::string_view wanted;  // Empty: all.

void compare(const char* name, int times, const std::function<void()>& ours,
             const std::function<void()>& bare) {
    if (!wanted.empty() && wanted != name) return;
    double best_ours = 1e18;
    double best_bare = 1e18;
    for (int round = 0; round < 15; ++round) {
        best_ours = std::min(best_ours, nanoseconds_of(ours, times));
        best_bare = std::min(best_bare, nanoseconds_of(bare, times));
    }
    std::printf("%s %.0f %.0f\n", name, best_ours, best_bare);
    std::fflush(stdout);
}

// OpenSSL as cheap as it gets: algorithms fetched once, contexts reused.
class Bare {
public:
    void sha256(const std::string& text) {
        EW_ASSERT(EVP_DigestInit_ex2(digest_, algorithm_, nullptr) == 1);
        EW_ASSERT(EVP_DigestUpdate(digest_, text.data(), text.size()) == 1);
        EW_ASSERT(EVP_DigestFinal_ex(digest_, out_, nullptr) == 1);
    }
    void hmac(const std::string& key, const std::string& text) {
        std::size_t size = 0;
        char name[] = "SHA256";
        const OSSL_PARAM parameters[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
            OSSL_PARAM_construct_end()};
        EW_ASSERT(EVP_MAC_init(mac_, reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                               keyed_ ? nullptr : parameters) == 1);
        keyed_ = true;
        EW_ASSERT(EVP_MAC_update(mac_, reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size()) == 1);
        EW_ASSERT(EVP_MAC_final(mac_, out_, &size, sizeof out_) == 1);
    }
    void sign(EVP_PKEY* key, const std::string& text) {
        EVP_MD_CTX* context = EVP_MD_CTX_new();
        std::size_t size = sizeof out_;
        EW_ASSERT(
            EVP_DigestSignInit_ex(context, nullptr, "SHA256", nullptr, nullptr, key, nullptr) == 1);
        EW_ASSERT(EVP_DigestSign(context, out_, &size,
                                 reinterpret_cast<const unsigned char*>(text.data()),
                                 text.size()) == 1);
        EVP_MD_CTX_free(context);
    }

private:
    EVP_MD* algorithm_ = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    EVP_MD_CTX* digest_ = EVP_MD_CTX_new();
    EVP_MAC_CTX* mac_ = EVP_MAC_CTX_new(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
    bool keyed_ = false;
    unsigned char out_[512];
};

std::string pem_of(EVP_PKEY* key) {
    BIO* bio = BIO_new(BIO_s_mem());
    EW_ASSERT(PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio, &data);
    std::string out(data, static_cast<std::size_t>(size));
    BIO_free(bio);
    return out;
}

struct Example {
    signing::Store store;
    signing::SigningKey key;
    std::string disposition = signing::content_disposition("products-2026-11-23.csv");

    Example(const std::map<std::string, std::string>& values,
            signing::StoreCredentials credentials) {
        auto parsed = signing::parse_store("bench", values);
        EW_ASSERT(parsed.has_value());
        store = std::move(*parsed);
        auto made = signing::make_signing_key(store, credentials, kNow);
        EW_ASSERT(made.has_value());
        key = std::move(*made);
    }
    [[nodiscard]] signing::StoreLink sign() const {
        signing::StoreLinkRequest request;
        request.key = kKey;
        request.times = {kNow, kNow + 900};
        request.disposition = disposition;
        request.filename = "products-2026-11-23.csv";
        auto link = signing::sign_store_link(store, key, request);
        EW_ASSERT(link.has_value());
        return std::move(*link);
    }
    // Consumed, so that it is not optimised away.
    void use() const {
        static volatile std::size_t sink = 0;
        sink = sink + sign().url.size();
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc > 1) wanted = argv[1];
    Bare bare;
    EVP_PKEY* rsa = EVP_RSA_gen(2048);
    const std::string rsa_pem = pem_of(rsa);
    const std::string mac_key(32, 'k');

    const Example s3(
        {{"kind", "s3"}, {"prefix", "s3://merchant-exports/"}, {"region", "eu-central-1"}},
        {"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", ""});
    const signing::StoreLink s3_link = s3.sign();
    compare(
        "s3", 20'000, [&] { s3.use(); },
        [&] {
            bare.sha256(s3_link.canonical_request);
            bare.hmac(mac_key, s3_link.string_to_sign);
        });

    const Example gcs({{"kind", "gcs"}, {"prefix", "gs://merchant-exports/"}},
                      {"robot@project.iam.gserviceaccount.com", rsa_pem, ""});
    const signing::StoreLink gcs_link = gcs.sign();
    compare(
        "gcs", 200, [&] { gcs.use(); },
        [&] {
            bare.sha256(gcs_link.canonical_request);
            bare.sign(rsa, gcs_link.string_to_sign);
        });

    const Example azure(
        {{"kind", "azure"}, {"prefix", "az://exports/"}, {"account", "merchantexports"}},
        {"merchantexports", "a2V5LWtleS1rZXkta2V5LWtleS1rZXkta2V5LWtleS0hIQ==", ""});
    const signing::StoreLink azure_link = azure.sign();
    compare(
        "azure", 20'000, [&] { azure.use(); },
        [&] { bare.hmac(mac_key, azure_link.string_to_sign); });

    const Example cdn(
        {{"kind", "cloudfront"}, {"base_url", "https://d111111abcdef8.cloudfront.net"}},
        {"K2JCJMDEHXQW5F", rsa_pem, ""});
    const signing::StoreLink cdn_link = cdn.sign();
    compare(
        "cloudfront", 200, [&] { cdn.use(); }, [&] { bare.sign(rsa, cdn_link.string_to_sign); });

    const Example local({{"kind", "local"},
                         {"root", "/srv/exports"},
                         {"base_url", "https://downloads.example.com"}},
                        {"k1", mac_key, ""});
    const signing::StoreLink local_link = local.sign();
    compare(
        "local", 20'000, [&] { local.use(); },
        [&] { bare.hmac(mac_key, local_link.string_to_sign); });
    EVP_PKEY_free(rsa);
}
