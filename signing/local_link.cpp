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

constexpr std::string_view kOldVersionTag = "export-worker-link-v1";
constexpr std::string_view kVersionTag = "export-worker-link-v2";
constexpr std::size_t kSecretBytesMin = 16;
constexpr std::size_t kSha256Bytes = 32;

constexpr const char* kBackslash =
    "request target: found a backslash or an encoded slash or backslash in the path";
constexpr const char* kDotSegment = "request target: found a '.' or '..' segment in the path";

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

// Everything a link says, decoded.
struct LinkValues {
    std::string path;
    std::string expires;
    std::string filename;
    std::string key_id;
    std::optional<std::string> store;  // nullopt: the old form.
    std::string content_type;
    std::string sha256;  // base64url.
};

// One spelling for each value, and no newline within any.
std::string string_to_sign(const LinkValues& link) {
    std::string out;
    out.reserve(kVersionTag.size() + 3 * (link.path.size() + link.filename.size()) + 256);
    out += link.store ? kVersionTag : kOldVersionTag;
    out += "\nGET\n";
    if (link.store) {
        append_percent_encoded(out, *link.store);
        out += '\n';
    }
    append_percent_encoded_path(out, link.path);
    for (const std::string* value : {&link.expires, &link.key_id, &link.filename}) {
        out += '\n';
        append_percent_encoded(out, *value);
    }
    if (!link.store) return out;
    for (const std::string* value : {&link.content_type, &link.sha256}) {
        out += '\n';
        append_percent_encoded(out, *value);
    }
    return out;
}

std::string signature_of(const LinkValues& link, std::string_view secret) {
    std::string out;
    append_base64url(out, crypto::as_bytes(crypto::hmac_sha256(secret, string_to_sign(link))));
    return out;
}

// Some clients write a blank in a query as '+'; we never do, nor leave a '+' as it is.
std::optional<std::string> decode_query_value(std::string_view text) {
    std::string value(text);
    std::ranges::replace(value, '+', ' ');
    return percent_decode(value);
}

struct Query {
    std::optional<std::string> expires;
    std::optional<std::string> filename;
    std::optional<std::string> store;
    std::optional<std::string> type;
    std::optional<std::string> sha256;
    std::optional<std::string> key;
    std::optional<std::string> signature;
};

std::optional<std::string>* slot_of(Query& query, std::string_view name) {
    if (name == "expires") return &query.expires;
    if (name == "filename") return &query.filename;
    if (name == "store") return &query.store;
    if (name == "type") return &query.type;
    if (name == "sha256") return &query.sha256;
    if (name == "key") return &query.key;
    if (name == "sig") return &query.signature;
    return nullptr;
}

// Only known parameters, at most once each, whatever their order.
std::optional<Query> parse_query(std::string_view query) {
    Query out;
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos) return std::nullopt;
        std::optional<std::string>* const slot = slot_of(out, pair.substr(0, equals));
        if (slot == nullptr || slot->has_value()) return std::nullopt;
        *slot = decode_query_value(pair.substr(equals + 1));
        if (!slot->has_value()) return std::nullopt;
    }
    if (!out.expires || !out.filename || !out.key || !out.signature) return std::nullopt;
    if (!out.store && (out.type || out.sha256)) return std::nullopt;
    return out;
}

struct ParsedLink {
    LinkValues values;
    std::string signature;
};

// nullopt: nothing that was ever signed has this shape.
std::optional<ParsedLink> parse_link(std::string_view target) {
    if (!target.starts_with(kLocalLinkPathPrefix) || !check_request_target(target))
        return std::nullopt;
    target.remove_prefix(kLocalLinkPathPrefix.size());
    const std::size_t mark = target.find('?');
    if (mark == std::string_view::npos) return std::nullopt;
    auto path = percent_decode(target.substr(0, mark));
    auto query = parse_query(target.substr(mark + 1));
    if (!path || !query || !is_safe_relative_path(*path)) return std::nullopt;
    return ParsedLink{{std::move(*path), std::move(*query->expires), std::move(*query->filename),
                       std::move(*query->key), std::move(query->store),
                       std::move(query->type).value_or(""), std::move(query->sha256).value_or("")},
                      std::move(*query->signature)};
}

bool is_signed_by(const LocalLinkStore& store, const ParsedLink& link) {
    const auto key = std::ranges::find(store.keys, link.values.key_id, &LocalLinkKey::id);
    if (key == store.keys.end()) return false;
    const std::string expected = signature_of(link.values, key->secret);
    return crypto::equal_constant_time(expected, link.signature);
}

// The store whose key has signed the link; nullopt when there is none, or when an old link leaves
// open which.
std::optional<std::size_t> store_of(std::span<const LocalLinkStore> stores,
                                    const ParsedLink& link) {
    std::optional<std::size_t> out;
    for (std::size_t index = 0; index < stores.size(); ++index) {
        if (link.values.store && *link.values.store != stores[index].name) continue;
        if (!is_signed_by(stores[index], link)) continue;
        if (out) return std::nullopt;
        out = index;
    }
    return out;
}

bool has_dot_segment_when_decoded(std::string_view path) {
    const auto decoded = percent_decode(path);
    return !decoded || has_dot_segment(*decoded);
}

Result<void> check_request(const LocalLinkRequest& request) {
    if (!is_local_base_url(request.base_url))
        return invalid_argument("base_url: expected http(s)://host without a slash at the end");
    if (!is_safe_relative_path(request.path))
        return invalid_argument("path: expected a relative path without '.' or '..' segments");
    if (!is_key_id(request.key_id))
        return invalid_argument("key_id: expected 1 to 32 letters, digits, dashes");
    if (request.secret.size() < kSecretBytesMin)
        return invalid_argument("key: expected at least 16 bytes");
    if (request.store.empty() && !(request.content_type.empty() && request.sha256_hex.empty()))
        return invalid_argument("store: missing; content_type and sha256 need it");
    if (!request.content_type.empty() && !is_content_type(request.content_type))
        return invalid_argument("content_type: expected TYPE/SUBTYPE, perhaps with parameters");
    return {};
}

Result<LinkValues> values_of(const LocalLinkRequest& request) {
    LinkValues out;
    out.path = request.path;
    out.expires = std::to_string(request.expires_unix_s);
    out.filename = request.filename;
    out.key_id = request.key_id;
    if (!request.store.empty()) out.store = request.store;
    out.content_type = request.content_type;
    if (request.sha256_hex.empty()) return out;
    const auto digest = from_hex(request.sha256_hex);
    if (!digest || digest->size() != kSha256Bytes)
        return invalid_argument("sha256: expected 64 hexadecimal digits");
    append_base64url(out.sha256, *digest);
    return out;
}

std::string target_of(const LinkValues& link, std::string_view signature) {
    std::string out(kLocalLinkPathPrefix);
    out.reserve(2 * (link.path.size() + link.filename.size()) + 256);
    append_percent_encoded_path(out, link.path);
    const auto add = [&out](std::string_view name, std::string_view value) {
        out += name;
        append_percent_encoded(out, value);
    };
    add("?expires=", link.expires);
    add("&filename=", link.filename);
    if (link.store) add("&store=", *link.store);
    if (!link.content_type.empty()) add("&type=", link.content_type);
    if (!link.sha256.empty()) add("&sha256=", link.sha256);
    add("&key=", link.key_id);
    add("&sig=", signature);
    return out;
}

}  // namespace

Result<void> check_request_target(std::string_view target) {
    if (target.size() > limits::kRequestTargetBytesMax) {
        return fail(ErrorCode::kResourceExhausted,
                    "request target: expected at most " +
                        std::to_string(limits::kRequestTargetBytesMax) + " bytes, found " +
                        std::to_string(target.size()));
    }
    if (!target.starts_with('/'))
        return invalid_argument("request target: expected an origin-form target");
    const bool printable_ascii =
        std::ranges::all_of(target, [](char c) { return c > 0x20 && c < 0x7f; });
    if (!printable_ascii || target.find('#') != std::string_view::npos)
        return invalid_argument("request target: expected printable ASCII without a fragment");
    const std::string_view path = target.substr(0, target.find('?'));
    if (path.find('\\') != std::string_view::npos) return invalid_argument(kBackslash);
    if (target.find('%') == std::string_view::npos)
        return has_dot_segment(path) ? invalid_argument(kDotSegment) : Result<void>{};
    for (const std::string_view encoded : {"%2f", "%2F", "%5c", "%5C"}) {
        if (path.find(encoded) != std::string_view::npos) return invalid_argument(kBackslash);
    }
    if (!percent_decode(target))
        return invalid_argument("request target: expected two hex digits behind every '%'");
    return has_dot_segment_when_decoded(path) ? invalid_argument(kDotSegment) : Result<void>{};
}

bool is_local_base_url(std::string_view text) {
    return (text.starts_with("http://") || text.starts_with("https://")) && !text.ends_with('/') &&
           !has_control_characters(text) && text.find_first_of(" ?#\"") == std::string_view::npos;
}

bool is_content_type(std::string_view text) {
    const auto is_token = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("!#$&^_.+-").find(c) != std::string_view::npos;
    };
    if (text.size() > limits::kContentTypeBytesMax) return false;
    const std::string_view essence = text.substr(0, text.find(';'));
    const std::size_t slash = essence.find('/');
    if (slash == 0 || slash == std::string_view::npos || slash + 1 == essence.size()) return false;
    return std::ranges::all_of(essence.substr(0, slash), is_token) &&
           std::ranges::all_of(essence.substr(slash + 1), is_token) &&
           std::ranges::all_of(text.substr(essence.size()), [&](char c) {
               return is_token(c) || std::string_view("; =\"").find(c) != std::string_view::npos;
           });
}

Result<LocalLink> sign_local_link(const LocalLinkRequest& request) {
    EW_CHECK(check_request(request));
    EW_TRY(const LinkValues values, values_of(request));
    LocalLink out;
    out.string_to_sign = string_to_sign(values);
    const std::string target = target_of(values, signature_of(values, request.secret));
    if (const auto served = check_request_target(target); !served)
        return invalid_argument("no link can work: " + served.error().message);
    out.url.reserve(request.base_url.size() + target.size());
    out.url += request.base_url;
    out.url += target;
    return out;
}

Result<VerifiedLocalLink> verify_local_link(std::string_view target,
                                            std::span<const LocalLinkStore> stores,
                                            std::int64_t now_unix_s) {
    const auto denied = fail(ErrorCode::kPermissionDenied, "The link is not valid");
    auto link = parse_link(target);
    if (!link) return denied;
    const auto store = store_of(stores, *link);
    if (!store) return denied;

    // From here on the values are our own; the checks below only guard against a key that signs
    // elsewhere too.
    LinkValues& values = link->values;
    const auto expires = parse_unsigned(values.expires);
    const auto sha256 = from_base64url(values.sha256);
    const bool good_type = values.content_type.empty() || is_content_type(values.content_type);
    if (!expires || !sha256 || !good_type || (!sha256->empty() && sha256->size() != kSha256Bytes))
        return denied;
    const auto expires_unix_s = static_cast<std::int64_t>(*expires);
    if (now_unix_s >= expires_unix_s)
        return fail(ErrorCode::kDeadlineExceeded, "The link has expired");
    return VerifiedLocalLink{*store,
                             std::move(values.path),
                             std::move(values.filename),
                             std::move(values.content_type),
                             *sha256,
                             std::move(values.key_id),
                             expires_unix_s};
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
            return invalid_argument(where + "expected 'KEY_ID HEX_SECRET'");
        }
        auto secret = from_hex(line.substr(line.find_first_not_of(' ', blank)));
        if (!secret || secret->size() < kSecretBytesMin) {
            return invalid_argument(where + "expected at least 32 hex digits behind the key id");
        }
        const std::string id(line.substr(0, blank));
        if (std::ranges::find(keys, id, &LocalLinkKey::id) != keys.end()) {
            return invalid_argument(
                where + "key id '" + id +
                "' is used twice; give the new key an id of its own and keep the old "
                "key until its links have expired");
        }
        keys.push_back({id, std::move(*secret)});
    }
    if (keys.empty())
        return invalid_argument(
            "no key found; write one line 'KEY_ID HEX_SECRET', for example from openssl rand -hex "
            "32");
    return keys;
}

}  // namespace export_worker::signing
