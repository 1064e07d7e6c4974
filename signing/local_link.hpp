// Links to files the HTTP shim serves itself, signed with HMAC-SHA-256.
//
//   BASE/exports/PATH?expires=UNIX&filename=NAME&key=ID&sig=BASE64URL
//
// Signed, each on a line of its own (a newline cannot occur in any of them, because path and name
// are percent-encoded): a version tag, the method, the encoded path, the expiry, the key id, the
// encoded file name. A link signed for GET also serves HEAD; nothing else. The host is not part of
// it: one key, one service.
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
};

struct LocalLink {
    std::string url;
    std::string string_to_sign;
};

// Errors: kInvalidArgument for an empty path, one with "." or ".." segments or control characters,
// a bad base URL, or a bad key id.
[[nodiscard]] Result<LocalLink> sign_local_link(const LocalLinkRequest& request);

struct VerifiedLocalLink {
    std::string path;  // Decoded, relative to the store's root; free of "." and ".." segments.
    std::string filename;
    std::string key_id;  // Which of the keys signed it.
    std::int64_t expires_unix_s = 0;
};

// `target` as in the request line, starting with kLocalLinkPathPrefix. Errors: kPermissionDenied
// for a link that is malformed, tampered with or signed by an unknown key (one text for all three);
// kDeadlineExceeded for a good link that has expired.
[[nodiscard]] Result<VerifiedLocalLink> verify_local_link(std::string_view target,
                                                          std::span<const LocalLinkKey> keys,
                                                          std::int64_t now_unix_s);

// Lines "ID HEX", at least 16 bytes of secret; '#' starts a comment. The first key signs, all
// verify. Errors: kInvalidArgument, naming the line, never its content.
[[nodiscard]] Result<std::vector<LocalLinkKey>> parse_local_link_keys(std::string_view text);

}  // namespace export_worker::signing
