// Tokens and key sets from anybody: refused with a reason, never believed without a signature.
#include <cstdlib>
#include <string>
#include <string_view>
#include <nlohmann/json.hpp>

#include "daemon/auth/json_object.hpp"
#include "daemon/auth/jwks.hpp"
#include "daemon/auth/jwt.hpp"
#include "daemon/auth/session_provider.hpp"
#include "tests/unit/support/sessions.hpp"

using namespace export_worker::auth;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    static const Jwks keys = std::move(*Jwks::parse(export_worker::testing::jwks_of({"one"})));
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    // Nobody who fuzzes has the key.
    if (verify_jwt(bytes, keys, {"issuer", "audience", std::chrono::seconds(5)}, 1'700'000'000))
        std::abort();
    // The header is the fuzzer's, the signature is good: only the right header gets through.
    const std::string header = export_worker::testing::base64url(bytes.substr(0, size / 2));
    const std::string payload = export_worker::testing::base64url(bytes.substr(size / 2));
    (void)verify_jwt(header + "." + payload + ".AAAA", keys, {"issuer", "audience", {}}, 0);
    if (const auto claims = parse_object(bytes)) {
        const auto identity = identity_of(*claims);
        if (identity && identity->subject.empty()) std::abort();
    }
    (void)Jwks::parse(bytes);
    (void)parse_session_answer(bytes);
    return 0;
}
