#include "daemon/auth/api_key.hpp"

#include <algorithm>
#include <array>

#include "base/crypto/random.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"

namespace export_worker::auth {
namespace {

constexpr std::string_view kPrefix = "mo_";
constexpr std::size_t kIdDigits = 16;
constexpr std::size_t kSecretDigits = 64;
// So many digits behind the prefix are no accident: one random base64url token of 44 in 7e9.
constexpr std::size_t kTellingDigits = 8;

}  // namespace

NewApiKey make_api_key() {
    std::array<std::uint8_t, (kIdDigits + kSecretDigits) / 2> random{};
    crypto::fill_random(random);
    NewApiKey key;
    key.id = to_hex(std::span(random).first(kIdDigits / 2));
    key.text =
        std::string(kPrefix) + key.id + "_" + to_hex(std::span(random).subspan(kIdDigits / 2));
    key.sha256 = std::string(crypto::as_bytes(crypto::sha256(key.text)));
    return key;
}

std::optional<std::string_view> api_key_id(std::string_view text) {
    constexpr std::size_t kBytes = kPrefix.size() + kIdDigits + 1 + kSecretDigits;
    if (text.size() != kBytes || !text.starts_with(kPrefix) ||
        text[kPrefix.size() + kIdDigits] != '_')
        return std::nullopt;
    return text.substr(kPrefix.size(), kIdDigits);
}

bool has_api_key(std::string_view text) {
    const auto lower = [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    };
    const auto is_digit = [&](char c) {
        return (c >= '0' && c <= '9') || (lower(c) >= 'a' && lower(c) <= 'f');
    };
    constexpr std::size_t kBytes = kPrefix.size() + kTellingDigits;
    for (std::size_t at = 0; at + kBytes <= text.size(); ++at) {
        const std::string_view here = text.substr(at, kBytes);
        if (std::ranges::equal(here.substr(0, kPrefix.size()), kPrefix, {}, lower) &&
            std::ranges::all_of(here.substr(kPrefix.size()), is_digit))
            return true;
    }
    return false;
}

}  // namespace export_worker::auth
