// Links to files the HTTP shim serves itself, signed with HMAC-SHA-256.
//
//   BASE/exports/PATH?expires=UNIX&filename=NAME&store=STORE&type=TYPE&sha256=DIGEST&key=ID&sig=SIG
//
// Signed are the decoded values, percent-encoded again in one way, so a client or proxy that
// encodes more or less than we do breaks nothing; docs/signing.md has the text. A link signed for
// GET also serves HEAD, nothing else. The host is not part of it.
//
// Links of the old form have no store, type and sha256. Such a link opens a file only if its key
// belongs to one store: with a key of several it does not say which of them is meant.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker::signing {

inline constexpr std::string_view kLocalLinkPathPrefix = "/exports/";

struct LocalLinkKey {
    std::string id;  // 1 to 32 of A-Z a-z 0-9 _ -
    std::string secret;
};

struct LocalLinkRequest {
    std::string_view base_url;  // "https://downloads.example.com", no slash at the end.
    std::string_view path;      // Relative to the store's root, not encoded.
    std::string_view key_id;
    std::string_view secret;
    std::int64_t expires_unix_s = 0;
    std::string_view filename;
    std::string_view store = {};         // Its name. Empty: a link of the old form.
    std::string_view content_type = {};  // Of the file; empty: not known. Needs a store.
    std::string_view sha256_hex = {};    // Of the file; empty: not known. Needs a store.
};

struct LocalLink {
    std::string url;
    std::string string_to_sign;
};

// Errors: kInvalidArgument for an empty path, one with "." or ".." segments, control characters or
// a backslash, a bad base URL, key id, content type or SHA-256, and a link that
// check_request_target() refuses.
[[nodiscard]] Result<LocalLink> sign_local_link(const LocalLinkRequest& request);

// What a link may be signed with.
struct LocalLinkStore {
    std::string_view name;
    std::span<const LocalLinkKey> keys;
};

struct VerifiedLocalLink {
    std::size_t store_index = 0;  // In the list that was given.
    std::string path;  // Decoded, relative to the store's root; free of "." and ".." segments.
    std::string filename;
    std::string content_type;  // Empty: the link does not say.
    std::string sha256;        // 32 bytes; empty: the link does not say.
    std::string key_id;        // Which of the keys signed it.
    std::int64_t expires_unix_s = 0;
};

// `target` as in the request line, starting with kLocalLinkPathPrefix. Errors: kPermissionDenied
// for a link that is malformed, tampered with or signed by an unknown key (one text for all three);
// kDeadlineExceeded for a good link that has expired.
[[nodiscard]] Result<VerifiedLocalLink> verify_local_link(std::string_view target,
                                                          std::span<const LocalLinkStore> stores,
                                                          std::int64_t now_unix_s);

// The one rule for targets (path and query of a request line): what the shim answers and what is
// minted. Errors: kResourceExhausted over kRequestTargetBytesMax; kInvalidArgument for anything but
// printable ASCII in origin form, a fragment, a '%' without two hex digits, and, in the path, a
// backslash, an encoded slash or backslash, and "." and ".." segments.
[[nodiscard]] Result<void> check_request_target(std::string_view target);

// "https://downloads.example.com": http or https, no slash at the end, no query, no fragment.
[[nodiscard]] bool is_local_base_url(std::string_view text);

// "text/csv; charset=utf-8": at most kContentTypeBytesMax, safe in a header.
[[nodiscard]] bool is_content_type(std::string_view text);

// Lines "ID HEX", at least 16 bytes of secret; '#' starts a comment. The first key signs, all
// verify. Errors: kInvalidArgument, naming the line and an id used twice, never a secret.
[[nodiscard]] Result<std::vector<LocalLinkKey>> parse_local_link_keys(std::string_view text);

}  // namespace export_worker::signing
