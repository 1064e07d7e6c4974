// Tokens and key sets from anybody: refused with a reason, never believed without a signature.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.hpp"
#include "daemon/auth/json_object.hpp"
#include "daemon/auth/jwks.hpp"
#include "daemon/auth/jwt.hpp"
#include "daemon/auth/session_provider.hpp"
#include "tests/unit/support/sessions.hpp"

using namespace export_worker;
using namespace export_worker::auth;

namespace {

constexpr std::int64_t kNow = 1'700'000'000;

// The fuzzer's claims under a good signature: only the right ones get through.
void check_claims(const nlohmann::json& claims, const Jwks& keys) {
    const std::string token =
        testing::make_jwt({{"alg", "RS256"}, {"typ", "JWT"}, {"kid", "one"}}, claims);
    const auto identity = verify_jwt(token, keys, {"issuer", "audience", {}}, kNow);
    if (!identity) return;
    const auto& audience = claims["aud"];
    const bool good =
        claims["iss"] == "issuer" && !identity->subject.empty() &&
        identity->expires_unix_s > kNow &&
        (audience == "audience" || std::ranges::find(audience, "audience") != audience.end());
    if (!good) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    static const Jwks keys = std::move(*Jwks::parse(testing::jwks_of({"one"})));
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    // The fuzzer does not have the key, and the tokens of the corpus that are signed with it have
    // expired or are for another audience.
    if (verify_jwt(bytes, keys, {"issuer", "audience", std::chrono::seconds(5)}, kNow))
        std::abort();
    // Header and payload are the fuzzer's, and the signature is none.
    const std::string header = testing::base64url(bytes.substr(0, size / 2));
    const std::string payload = testing::base64url(bytes.substr(size / 2));
    if (verify_jwt(header + "." + payload + ".AAAA", keys, {"issuer", "audience", {}}, 0))
        std::abort();
    if (const auto claims = parse_object(bytes)) {
        const auto identity = identity_of(*claims);
        if (identity && identity->subject.empty()) std::abort();
        if (identity) check_claims(*claims, keys);
    }
    (void)Jwks::parse(bytes);
    (void)parse_session_answer(bytes);
    return 0;
}
