// Private keys that sign: RSA (RSASSA-PKCS1-v1_5) and ECDSA on P-256.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

struct evp_pkey_st;

namespace export_worker::crypto {

enum class SignatureDigest { kSha1, kSha256 };

// Constant after parse(): [any-thread].
class PrivateKey {
public:
    enum class Kind { kRsa, kEcP256 };

    // One key in PEM: PKCS#8, PKCS#1 or SEC1, not encrypted. Costly (tens of milliseconds with an
    // RSA key): keep the result. Errors: kInvalidArgument, which never repeats the text.
    [[nodiscard]] static Result<PrivateKey> parse(std::string_view pem);

    [[nodiscard]] Kind kind() const;
    // RSA: as long as the modulus, the same for the same bytes. EC: DER, random.
    [[nodiscard]] std::string sign(SignatureDigest digest, std::string_view bytes) const;
    // With the public half.
    [[nodiscard]] bool verify(SignatureDigest digest, std::string_view bytes,
                              std::string_view signature) const;

private:
    struct Free {
        void operator()(evp_pkey_st* key) const noexcept;
    };
    std::unique_ptr<evp_pkey_st, Free> key_;
};

}  // namespace export_worker::crypto
