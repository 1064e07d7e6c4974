#include "base/crypto/private_key.hpp"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include <climits>

#include "base/assert.hpp"
#include "base/crypto/evp.hpp"

namespace export_worker::crypto {
namespace {

struct FreeBio {
    void operator()(BIO* bio) const noexcept { BIO_free(bio); }
};

// Nobody is there to ask for a pass phrase.
int no_pass_phrase(char*, int, int, void*) {
    return -1;
}

const EVP_MD* algorithm_of(SignatureDigest digest) {
    return digest == SignatureDigest::kSha1 ? EVP_sha1() : EVP_sha256();
}

bool is_p256(const EVP_PKEY* key) {
    char name[32] = {};
    std::size_t size = 0;
    return EVP_PKEY_get_group_name(key, name, sizeof name, &size) == 1 &&
           std::string_view(name, size) == "prime256v1";
}

}  // namespace

void PrivateKey::Free::operator()(evp_pkey_st* key) const noexcept {
    EVP_PKEY_free(key);
}

Result<PrivateKey> PrivateKey::parse(std::string_view pem) {
    EW_ASSERT(pem.size() < INT_MAX);
    const std::unique_ptr<BIO, FreeBio> bio(
        BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    PrivateKey out;
    if (bio) out.key_.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_pass_phrase, nullptr));
    ERR_clear_error();
    if (!out.key_) {
        return fail(
            ErrorCode::kInvalidArgument,
            "private key: expected one unencrypted key in PEM, found none that can be read");
    }
    const bool rsa = EVP_PKEY_is_a(out.key_.get(), "RSA") == 1;
    if (!rsa && !(EVP_PKEY_is_a(out.key_.get(), "EC") == 1 && is_p256(out.key_.get()))) {
        return fail(ErrorCode::kInvalidArgument,
                    "private key: expected an RSA key or an EC key on P-256, found another kind");
    }
    if (rsa && EVP_PKEY_get_bits(out.key_.get()) < 1024) {
        return fail(ErrorCode::kInvalidArgument,
                    "private key: expected an RSA key of at least 1024 bits, found a shorter one");
    }
    return out;
}

PrivateKey::Kind PrivateKey::kind() const {
    return EVP_PKEY_is_a(key_.get(), "RSA") == 1 ? Kind::kRsa : Kind::kEcP256;
}

std::string PrivateKey::sign(SignatureDigest digest, std::string_view bytes) const {
    const DigestContext context(EVP_MD_CTX_new());
    EW_ASSERT(context != nullptr);
    EW_ASSERT(
        EVP_DigestSignInit(context.get(), nullptr, algorithm_of(digest), nullptr, key_.get()) == 1);
    std::size_t size = static_cast<std::size_t>(EVP_PKEY_get_size(key_.get()));
    std::string out(size, '\0');
    EW_ASSERT(EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(out.data()), &size,
                             bytes_of(bytes), bytes.size()) == 1);
    out.resize(size);
    return out;
}

bool PrivateKey::verify(SignatureDigest digest, std::string_view bytes,
                        std::string_view signature) const {
    return verify_signature(key_.get(), algorithm_of(digest), bytes, signature);
}

}  // namespace export_worker::crypto
