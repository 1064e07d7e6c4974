// Public RSA keys that verify: RSASSA-PKCS1-v1_5 with SHA-256, which JWT calls RS256 (RFC
// 7518, 3.3).
#pragma once

#include <memory>
#include <string_view>

#include "base/result.hpp"

struct evp_pkey_st;

namespace export_worker::crypto {

// Constant once made: [any-thread].
class PublicKey {
public:
    // Modulus and exponent, big-endian, as a JWK has them. Errors: kInvalidArgument for a modulus
    // of under 2048 or over 8192 bits, and for an exponent that is even, 1 or over 32 bits.
    [[nodiscard]] static Result<PublicKey> rsa(std::string_view modulus, std::string_view exponent);

    // Of the bytes' SHA-256.
    [[nodiscard]] bool verify(std::string_view bytes, std::string_view signature) const;

private:
    struct Free {
        void operator()(evp_pkey_st* key) const noexcept;
    };
    std::unique_ptr<evp_pkey_st, Free> key_;
};

}  // namespace export_worker::crypto
