// A JSON Web Key Set (RFC 7517): the public keys an identity provider signs with, by their `kid`.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/crypto/public_key.hpp"
#include "base/result.hpp"

namespace export_worker::auth {

// Constant once parsed: [any-thread].
class Jwks {
public:
    // Keeps the RSA keys for signatures with RS256 and passes over others. Errors: kInvalidArgument
    // for what is no key set, for a bad RSA key, one without a kid, a kid twice, more than
    // kJwksKeysMax, and when no key is left.
    [[nodiscard]] static Result<Jwks> parse(std::string_view text);

    // nullptr when there is none of that name.
    [[nodiscard]] const crypto::PublicKey* find(std::string_view kid) const;
    [[nodiscard]] std::size_t size() const { return keys_.size(); }

private:
    std::map<std::string, crypto::PublicKey, std::less<>> keys_;
};

}  // namespace export_worker::auth
