// Signature Version 4 in its query-string form, for any service and in both of its dialects.
//
// Sources: AWS, "Signature Version 4 signing process" and the published signing suite; Google,
// "V4 signing process" and its conformance file, which uses the same canonical request under other
// names. S3 and Google differ from other AWS services in the payload line and in the path, so both
// are parameters here; s3_presign.hpp and gcs_presign.hpp fill them in.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/crypto/sha256.hpp"

namespace export_worker::signing {

// The names one dialect uses.
struct SigV4Dialect {
    std::string_view algorithm;
    std::string_view prefix;  // Of the query parameters.
    std::string_view secret_prefix;
    std::string_view terminator;  // Last part of the scope.
};
inline constexpr SigV4Dialect kAwsHmac{"AWS4-HMAC-SHA256", "X-Amz-", "AWS4", "aws4_request"};
inline constexpr SigV4Dialect kGoogleHmac{"GOOG4-HMAC-SHA256", "X-Goog-", "GOOG4", "goog4_request"};
inline constexpr SigV4Dialect kGoogleRsa{"GOOG4-RSA-SHA256", "X-Goog-", "", "goog4_request"};

using NameAndValue = std::pair<std::string_view, std::string_view>;
using NamesAndValues = std::vector<NameAndValue>;

// The key derived from (secret, day, region, service); worth keeping for a day. `day` is that of
// the signing time.
using SigV4Key = crypto::Sha256Digest;
[[nodiscard]] SigV4Key derive_sigv4_key(std::string_view secret_access_key, std::string_view day,
                                        std::string_view region, std::string_view service,
                                        const SigV4Dialect& dialect = kAwsHmac);

struct SigV4Request {
    SigV4Dialect dialect = kAwsHmac;
    std::string_view method;
    std::string_view canonical_path;  // Encoded as the service wants it.
    // Before encoding. PREFIX-... are added here, not by the caller.
    std::span<const NameAndValue> query;
    std::span<const NameAndValue> headers;  // Any case, any order; "host" must be one of them.
    std::string_view payload_hash;
    std::string_view service;  // Both of letters, digits and dashes.
    std::string_view region;
    std::string_view access_key_id;
    std::string_view session_token;    // Empty: long-lived credentials.
    bool sign_session_token = true;    // false: appended after signing, as a few services want it.
    std::int64_t unix_s = 0;           // Time of signing.
    std::int64_t expires_seconds = 0;  // From then on.
};

// Everything but the signature.
struct SigV4Canonical {
    std::string canonical_request;
    std::string string_to_sign;
    // The canonical query, where it stands in canonical_request.
    std::size_t query_begin = 0;
    std::size_t query_end = 0;
    [[nodiscard]] std::string_view query() const {
        return std::string_view(canonical_request).substr(query_begin, query_end - query_begin);
    }
};
[[nodiscard]] SigV4Canonical canonicalize_sigv4(const SigV4Request& request);

// Appends the query to `url`: what was signed, then an unsigned session token, then the signature.
// `signature` is the bytes of the MAC or of the RSA signature.
void append_sigv4_query(std::string& url, const SigV4Request& request,
                        const SigV4Canonical& canonical, std::span<const std::uint8_t> signature);

struct SigV4Signature {
    std::string query;  // Encoded, sorted, with the signature last.
    std::string canonical_request;
    std::string string_to_sign;
};
// With a derived key. `key` is derive_sigv4_key() for the request's day, region and service.
[[nodiscard]] SigV4Signature presign_sigv4(const SigV4Request& request, const SigV4Key& key);

// The canonical path for services other than S3: `path` as it was typed, encoded once. With
// `normalize`, "." and ".." segments and repeated slashes go first (RFC 3986, section 5.2.4).
[[nodiscard]] std::string sigv4_canonical_path(std::string_view path, bool normalize);

}  // namespace export_worker::signing
