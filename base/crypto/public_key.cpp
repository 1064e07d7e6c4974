#include "base/crypto/public_key.hpp"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>

#include "base/assert.hpp"
#include "base/crypto/evp.hpp"

namespace export_worker::crypto {
namespace {

constexpr std::size_t kModulusBytesMin = 256;
constexpr std::size_t kModulusBytesMax = 1024;
constexpr std::size_t kExponentBytesMax = 4;

struct FreeNumber {
    void operator()(BIGNUM* number) const noexcept { BN_free(number); }
};
struct FreeBuilder {
    void operator()(OSSL_PARAM_BLD* builder) const noexcept { OSSL_PARAM_BLD_free(builder); }
};
struct FreeParams {
    void operator()(OSSL_PARAM* params) const noexcept { OSSL_PARAM_free(params); }
};
struct FreeKeyContext {
    void operator()(EVP_PKEY_CTX* context) const noexcept { EVP_PKEY_CTX_free(context); }
};
using Number = std::unique_ptr<BIGNUM, FreeNumber>;

Number number_of(std::string_view bytes) {
    return Number(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr));
}

}  // namespace

void PublicKey::Free::operator()(evp_pkey_st* key) const noexcept {
    EVP_PKEY_free(key);
}

Result<PublicKey> PublicKey::rsa(std::string_view modulus, std::string_view exponent) {
    while (modulus.starts_with('\0')) modulus.remove_prefix(1);
    while (exponent.starts_with('\0')) exponent.remove_prefix(1);
    const bool long_enough = modulus.size() > kModulusBytesMin ||
                             (modulus.size() == kModulusBytesMin && (modulus.front() & 0x80) != 0);
    if (!long_enough || modulus.size() > kModulusBytesMax)
        return fail(ErrorCode::kInvalidArgument,
                    "public key: expected a modulus of 2048 to 8192 bits");
    const bool odd = !exponent.empty() && (exponent.back() & 1) != 0;
    if (!odd || exponent == "\x01" || exponent.size() > kExponentBytesMax)
        return fail(ErrorCode::kInvalidArgument,
                    "public key: expected an odd exponent over 1 of at most 32 bits");
    const Number n = number_of(modulus);
    const Number e = number_of(exponent);
    const std::unique_ptr<OSSL_PARAM_BLD, FreeBuilder> builder(OSSL_PARAM_BLD_new());
    EW_ASSERT(n && e && builder);
    EW_ASSERT(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) == 1);
    EW_ASSERT(OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) == 1);
    const std::unique_ptr<OSSL_PARAM, FreeParams> params(OSSL_PARAM_BLD_to_param(builder.get()));
    const std::unique_ptr<EVP_PKEY_CTX, FreeKeyContext> context(
        EVP_PKEY_CTX_new_from_name(nullptr, "RSA", nullptr));
    EW_ASSERT(params && context && EVP_PKEY_fromdata_init(context.get()) == 1);
    EVP_PKEY* made = nullptr;
    const bool good =
        EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) == 1;
    ERR_clear_error();
    if (!good)
        return fail(ErrorCode::kInvalidArgument, "public key: expected an RSA key, found none");
    PublicKey out;
    out.key_.reset(made);
    return out;
}

bool PublicKey::verify(std::string_view bytes, std::string_view signature) const {
    return verify_signature(key_.get(), EVP_sha256(), bytes, signature);
}

}  // namespace export_worker::crypto
