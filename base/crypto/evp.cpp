#include "base/crypto/evp.hpp"

#include <openssl/err.h>

#include "base/assert.hpp"

namespace export_worker::crypto {

bool verify_signature(EVP_PKEY* key, const EVP_MD* digest, std::string_view bytes,
                      std::string_view signature) {
    const DigestContext context(EVP_MD_CTX_new());
    EW_ASSERT(context != nullptr);
    EW_ASSERT(EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, key) == 1);
    const bool good = EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(),
                                       bytes_of(bytes), bytes.size()) == 1;
    ERR_clear_error();
    return good;
}

}  // namespace export_worker::crypto
