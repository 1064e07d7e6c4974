#include "protocol/transport/curve.hpp"

#include <array>
#include <zmq.h>

#include "base/assert.hpp"
#include "base/crypto/compare.hpp"
#include "base/io.hpp"
#include "base/shared_limits.hpp"
#include "protocol/transport/limits.hpp"

namespace export_worker::transport {
namespace {

constexpr std::size_t kKeyDigits = 40;
using KeyText = std::array<char, kKeyDigits + 1>;

}  // namespace

CurveKeys make_curve_keys() {
    KeyText public_key{};
    KeyText secret_key{};
    EW_ASSERT(::zmq_curve_keypair(public_key.data(), secret_key.data()) == 0);
    return {public_key.data(), secret_key.data()};
}

bool is_curve_key(std::string_view text) {
    std::array<std::uint8_t, 32> bytes{};
    return text.size() == kKeyDigits &&
           ::zmq_z85_decode(bytes.data(), std::string(text).c_str()) != nullptr;
}

Result<CurveKeys> read_curve_keys(const std::string& path) {
    EW_TRY(std::string text, read_secret_file(path, limits::kSecretFileBytesMax));
    CurveKeys out;
    out.secret_key = text.substr(0, text.find('\n'));
    crypto::wipe(text);
    KeyText public_key{};
    if (!is_curve_key(out.secret_key) ||
        ::zmq_curve_public(public_key.data(), out.secret_key.c_str()) != 0)
        return fail(
            ErrorCode::kInvalidArgument,
            path + ": expected a secret key of 40 characters; make one with exportctl curve");
    out.public_key = public_key.data();
    return out;
}

Result<std::string> read_curve_public_key(const std::string& path) {
    EW_TRY(std::string text, read_trusted_file(path, limits::kSecretFileBytesMax));
    text.resize(std::min(text.find('\n'), text.size()));
    if (!is_curve_key(text))
        return fail(
            ErrorCode::kInvalidArgument,
            path + ": expected a public key of 40 characters, as exportctl curve prints it");
    return text;
}

Result<std::set<std::string>> read_curve_clients(const std::string& path) {
    EW_TRY(const std::string text, read_trusted_file(path, limits::kConfigFileBytesMax));
    std::set<std::string> out;
    std::size_t number = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::string_view line = std::string_view(text).substr(begin, end - begin);
        begin = end + 1;
        ++number;
        if (line.find_first_not_of(" \t\r") == std::string_view::npos || line.starts_with('#'))
            continue;
        const std::size_t blank = line.find(' ');
        const std::string_view key =
            blank == std::string_view::npos ? std::string_view() : line.substr(blank + 1);
        if (blank == 0 || !is_curve_key(key))
            return fail(ErrorCode::kInvalidArgument,
                        path + ", line " + std::to_string(number) +
                            ": expected NAME KEY, with a public key of 40 characters");
        out.emplace(key);
        if (out.size() > limits::kCurveClientsMax)
            return fail(
                ErrorCode::kResourceExhausted,
                path + ": expected at most " + std::to_string(limits::kCurveClientsMax) + " keys");
    }
    return out;
}

}  // namespace export_worker::transport
