// AWS Signature Version 4 in its query-string form, for any service.
//
// Source: AWS, "Signature Version 4 signing process", and the published signing test suite. S3
// differs from the other services in the payload hash and in the path, which is why both are
// parameters; s3_presign.hpp fills them in.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/crypto/sha256.hpp"

namespace export_worker::signing {

// The key derived from (secret, day, region, service); worth keeping for a day.
using SigV4Key = crypto::Sha256Digest;
[[nodiscard]] SigV4Key derive_sigv4_key(std::string_view secret_access_key, std::string_view day,
                                        std::string_view region, std::string_view service);

struct SigV4Request {
    std::string_view method;
    std::string_view canonical_path;  // Encoded as the service wants it.
    // Names and values before encoding. X-Amz-... are added here, not by the caller.
    std::vector<std::pair<std::string_view, std::string_view>> query;
    // Lower-case names, trimmed values, sorted by name; "host" is one of them.
    std::vector<std::pair<std::string_view, std::string_view>> headers;
    std::string_view payload_hash;  // "UNSIGNED-PAYLOAD" for S3.
    std::string_view service;
    std::string_view region;
    std::string_view access_key_id;
    std::string_view session_token;    // Empty: long-lived credentials.
    bool sign_session_token = true;    // false: appended after signing, as a few services want it.
    std::int64_t unix_s = 0;           // Time of signing.
    std::int64_t expires_seconds = 0;  // From then on.
};

struct SigV4Signature {
    std::string query;  // Encoded, sorted, with X-Amz-Signature last.
    std::string canonical_request;
    std::string string_to_sign;
};

// `key` is derive_sigv4_key() for the request's day, region and service.
[[nodiscard]] SigV4Signature presign_sigv4(const SigV4Request& request, const SigV4Key& key);

}  // namespace export_worker::signing
