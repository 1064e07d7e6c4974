#include "base/crypto/sha256.hpp"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/assert.hpp"

namespace export_worker::crypto {
namespace {

// Fetched once: EVP_sha256() would make every init search the providers.
const EVP_MD* sha256_algorithm() {
    static EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    EW_ASSERT(algorithm != nullptr);
    return algorithm;
}

struct ThreadContexts {
    EVP_MD_CTX* digest = EVP_MD_CTX_new();
    EVP_MAC_CTX* mac = nullptr;

    ThreadContexts() {
        EVP_MAC* hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
        EW_ASSERT(hmac != nullptr && digest != nullptr);
        mac = EVP_MAC_CTX_new(hmac);
        EVP_MAC_free(hmac);  // The context keeps its own reference.
        char name[] = "SHA256";
        const OSSL_PARAM parameters[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, name, 0),
            OSSL_PARAM_construct_end()};
        EW_ASSERT(EVP_MAC_CTX_set_params(mac, parameters) == 1);
    }
    ThreadContexts(const ThreadContexts&) = delete;
    ThreadContexts& operator=(const ThreadContexts&) = delete;
    ~ThreadContexts() {
        EVP_MD_CTX_free(digest);
        EVP_MAC_CTX_free(mac);
    }
};

ThreadContexts& thread_contexts() {
    thread_local ThreadContexts contexts;
    return contexts;
}

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

Sha256Digest sha256(std::string_view bytes) {
    Sha256Digest out;
    EVP_MD_CTX* context = thread_contexts().digest;
    EW_ASSERT(EVP_DigestInit_ex2(context, sha256_algorithm(), nullptr) == 1);
    EW_ASSERT(EVP_DigestUpdate(context, bytes.data(), bytes.size()) == 1);
    EW_ASSERT(EVP_DigestFinal_ex(context, out.data(), nullptr) == 1);
    return out;
}

Sha256Digest hmac_sha256(std::string_view key, std::string_view bytes) {
    Sha256Digest out;
    EVP_MAC_CTX* context = thread_contexts().mac;
    // A null key pointer would mean "the last key again"; an empty key is a key.
    static const unsigned char kNothing = 0;
    const unsigned char* key_bytes = key.empty() ? &kNothing : bytes_of(key);
    std::size_t written = 0;
    EW_ASSERT(EVP_MAC_init(context, key_bytes, key.size(), nullptr) == 1);
    EW_ASSERT(EVP_MAC_update(context, bytes_of(bytes), bytes.size()) == 1);
    EW_ASSERT(EVP_MAC_final(context, out.data(), &written, out.size()) == 1 &&
              written == out.size());
    return out;
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const noexcept {
    EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
    EW_ASSERT(context_ != nullptr &&
              EVP_DigestInit_ex2(context_.get(), sha256_algorithm(), nullptr) == 1);
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::string_view bytes) {
    EW_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

Sha256Digest Sha256::finish() {
    Sha256Digest out;
    EW_ASSERT(EVP_DigestFinal_ex(context_.get(), out.data(), nullptr) == 1);
    return out;
}

}  // namespace export_worker::crypto
