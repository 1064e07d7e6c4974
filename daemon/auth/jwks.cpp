#include "daemon/auth/jwks.hpp"

#include "base/base64.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/text.hpp"
#include "daemon/auth/json_object.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {
namespace {

using nlohmann::json;

tl::unexpected<Error> bad_key_set(const std::string& what) {
    return fail(ErrorCode::kInvalidArgument, "jwks: " + what);
}

// An RSA key that is meant for RS256 signatures.
bool is_wanted(const json& key) {
    const auto is = [&](const char* name, std::string_view value) {
        const std::optional<std::string> found = text_in(key, name);
        return !key.contains(name) || (found && *found == value);
    };
    return text_in(key, "kty") == "RSA" && is("use", "sig") && is("alg", "RS256");
}

Result<crypto::PublicKey> key_of(const json& key) {
    const auto n = from_base64url(text_in(key, "n").value_or(""));
    const auto e = from_base64url(text_in(key, "e").value_or(""));
    if (!n || !e || n->empty() || e->empty())
        return bad_key_set("n, e: expected base64url numbers");
    return crypto::PublicKey::rsa(*n, *e);
}

}  // namespace

Result<Jwks> Jwks::parse(std::string_view text) {
    const std::optional<json> set = parse_object(text);
    if (!set || !set->contains("keys") || !(*set)["keys"].is_array())
        return bad_key_set("expected an object with an array 'keys'");
    Jwks out;
    for (const json& key : (*set)["keys"]) {
        if (!key.is_object()) return bad_key_set("keys: expected objects, found " + kind_of(key));
        if (!is_wanted(key)) continue;
        const std::optional<std::string> kid = text_in(key, "kid");
        if (!kid || kid->empty() || kid->size() > limits::kJwtKidBytesMax)
            return bad_key_set("kid: expected 1 to " + std::to_string(limits::kJwtKidBytesMax) +
                               " bytes of text, found " +
                               (kid ? std::to_string(kid->size()) : "none"));
        auto made = key_of(key);
        if (!made) return bad_key_set("key '" + printable(*kid) + "': " + made.error().message);
        if (!out.keys_.emplace(*kid, std::move(*made)).second)
            return bad_key_set("kid '" + printable(*kid) + "' given twice");
        if (out.keys_.size() > limits::kJwksKeysMax)
            return bad_key_set("expected at most " + std::to_string(limits::kJwksKeysMax) +
                               " keys, found more");
    }
    if (out.keys_.empty())
        return bad_key_set("expected at least one RSA key for RS256 signatures, found none");
    return out;
}

const crypto::PublicKey* Jwks::find(std::string_view kid) const {
    const auto found = keys_.find(kid);
    return found == keys_.end() ? nullptr : &found->second;
}

}  // namespace export_worker::auth
