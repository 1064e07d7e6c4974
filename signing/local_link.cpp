#include "signing/local_link.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/base64.hpp"
#include "base/crypto/compare.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "base/text.hpp"
#include "signing/limits.hpp"
#include "signing/object_key.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::signing {
namespace {

constexpr std::string_view kVersionTag = "export-worker-link-v1";
constexpr std::size_t kSecretBytesMin = 16;

tl::unexpected<Error> refuse(std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what));
}

bool is_key_id(std::string_view id) {
    return !id.empty() && id.size() <= 32 && std::ranges::all_of(id, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    });
}

bool is_safe_relative_path(std::string_view path) {
    if (path.empty() || path.size() > limits::kFileKeyBytesMax || has_control_characters(path))
        return false;
    const bool empty_segment =
        path.starts_with('/') || path.ends_with('/') || path.find("//") != std::string_view::npos;
    return !empty_segment && !has_dot_segment(path);
}

std::string string_to_sign(std::string_view encoded_path, std::string_view expires,
                           std::string_view key_id, std::string_view encoded_filename) {
    std::string out;
    out.reserve(kVersionTag.size() + encoded_path.size() + encoded_filename.size() + 64);
    for (const std::string_view part :
         {kVersionTag, std::string_view("GET"), encoded_path, expires, key_id}) {
        out += part;
        out += '\n';
    }
    out += encoded_filename;
    return out;
}

struct Query {
    std::optional<std::string_view> expires;
    std::optional<std::string_view> filename;
    std::optional<std::string_view> key;
    std::optional<std::string_view> signature;
};

// Exactly the four parameters, once each, whatever their order.
std::optional<Query> parse_query(std::string_view query) {
    Query out;
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos) return std::nullopt;
        const std::string_view name = pair.substr(0, equals);
        std::optional<std::string_view>* slot = name == "expires"    ? &out.expires
                                                : name == "filename" ? &out.filename
                                                : name == "key"      ? &out.key
                                                : name == "sig"      ? &out.signature
                                                                     : nullptr;
        if (slot == nullptr || slot->has_value()) return std::nullopt;
        *slot = pair.substr(equals + 1);
    }
    if (!out.expires || !out.filename || !out.key || !out.signature) return std::nullopt;
    return out;
}

}  // namespace

Result<LocalLink> sign_local_link(const LocalLinkRequest& request) {
    const bool base_ok =
        (request.base_url.starts_with("http://") || request.base_url.starts_with("https://")) &&
        !request.base_url.ends_with('/') && !has_control_characters(request.base_url) &&
        request.base_url.find_first_of(" ?#\"") == std::string_view::npos;
    if (!base_ok) return refuse("base_url: expected http(s)://host without a slash at the end");
    if (!is_safe_relative_path(request.path))
        return refuse("path: expected a relative path without '.' or '..' segments");
    if (!is_key_id(request.key_id))
        return refuse("key_id: expected 1 to 32 letters, digits, dashes");
    if (request.secret.size() < kSecretBytesMin) return refuse("key: expected at least 16 bytes");

    std::string path;
    append_percent_encoded_path(path, request.path);
    const std::string filename = percent_encode(request.filename);
    const std::string expires = std::to_string(request.expires_unix_s);
    LocalLink out;
    out.string_to_sign = string_to_sign(path, expires, request.key_id, filename);
    out.url.reserve(request.base_url.size() + path.size() + filename.size() + 128);
    out.url += request.base_url;
    out.url += kLocalLinkPathPrefix;
    out.url += path;
    out.url += "?expires=";
    out.url += expires;
    out.url += "&filename=";
    out.url += filename;
    out.url += "&key=";
    out.url += request.key_id;
    out.url += "&sig=";
    append_base64url(out.url,
                     crypto::as_bytes(crypto::hmac_sha256(request.secret, out.string_to_sign)));
    return out;
}

Result<VerifiedLocalLink> verify_local_link(std::string_view target,
                                            std::span<const LocalLinkKey> keys,
                                            std::int64_t now_unix_s) {
    const auto denied = fail(ErrorCode::kPermissionDenied, "The link is not valid");
    if (!target.starts_with(kLocalLinkPathPrefix)) return denied;
    target.remove_prefix(kLocalLinkPathPrefix.size());
    const std::size_t mark = target.find('?');
    if (mark == std::string_view::npos) return denied;
    const std::string_view encoded_path = target.substr(0, mark);
    const auto query = parse_query(target.substr(mark + 1));
    if (!query) return denied;
    const auto key = std::ranges::find_if(
        keys, [&](const LocalLinkKey& each) { return each.id == *query->key; });
    if (key == keys.end()) return denied;
    std::string expected;
    append_base64url(expected, crypto::as_bytes(crypto::hmac_sha256(
                                   key->secret, string_to_sign(encoded_path, *query->expires,
                                                               key->id, *query->filename))));
    if (!crypto::equal_constant_time(expected, *query->signature)) return denied;

    // From here on the text is our own; the checks below only guard against a key that signs
    // elsewhere too.
    const auto path = percent_decode(encoded_path);
    const auto filename = percent_decode(*query->filename);
    const auto expires = parse_unsigned(*query->expires);
    if (!path || !filename || !expires || !is_safe_relative_path(*path)) return denied;
    const auto expires_unix_s = static_cast<std::int64_t>(*expires);
    if (now_unix_s >= expires_unix_s)
        return fail(ErrorCode::kDeadlineExceeded, "The link has expired");
    return VerifiedLocalLink{*path, *filename, key->id, expires_unix_s};
}

Result<std::vector<LocalLinkKey>> parse_local_link_keys(std::string_view text) {
    std::vector<LocalLinkKey> keys;
    std::size_t number = 0;
    while (!text.empty()) {
        ++number;
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, std::min(end, text.substr(0, end).find('#')));
        text.remove_prefix(std::min(end + 1, text.size()));
        while (!line.empty() && (line.back() == ' ' || line.back() == '\r' || line.back() == '\t'))
            line.remove_suffix(1);
        if (line.empty()) continue;
        const std::string where = "line " + std::to_string(number) + ": ";
        const std::size_t blank = line.find(' ');
        if (blank == std::string_view::npos || !is_key_id(line.substr(0, blank))) {
            return refuse(where + "expected 'KEY_ID HEX_SECRET'");
        }
        auto secret = from_hex(line.substr(line.find_first_not_of(' ', blank)));
        if (!secret || secret->size() < kSecretBytesMin) {
            return refuse(where + "expected at least 32 hex digits behind the key id");
        }
        keys.push_back({std::string(line.substr(0, blank)), std::move(*secret)});
    }
    if (keys.empty())
        return refuse(
            "no key found; write one line 'KEY_ID HEX_SECRET', for example from openssl rand -hex "
            "32");
    return keys;
}

}  // namespace export_worker::signing
