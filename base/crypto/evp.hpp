// What the key classes share of OpenSSL's EVP interface. Private to base/crypto.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string_view>

namespace export_worker::crypto {

struct FreeDigestContext {
    void operator()(EVP_MD_CTX* context) const noexcept { EVP_MD_CTX_free(context); }
};
using DigestContext = std::unique_ptr<EVP_MD_CTX, FreeDigestContext>;

[[nodiscard]] inline const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

// Whether `signature` is that of the bytes' digest, by the key's public half.
[[nodiscard]] bool verify_signature(EVP_PKEY* key, const EVP_MD* digest, std::string_view bytes,
                                    std::string_view signature);

}  // namespace export_worker::crypto
