// Presigned S3 URLs, for AWS and everything compatible.
//
// Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)". What S3
// does its own way: the payload is UNSIGNED-PAYLOAD, the key is encoded once and never normalised,
// and only `host` is signed, so that a browser can use the URL.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "signing/sigv4.hpp"

namespace export_worker::signing {

enum class S3Addressing {
    kVirtual,  // https://BUCKET.host/KEY
    kPath,     // https://host/BUCKET/KEY
};

struct S3PresignRequest {
    std::string_view method = "GET";
    std::string_view bucket;
    std::string_view key;  // Exact bytes, not encoded.
    std::string_view region;
    std::string_view
        endpoint;  // "https://files.example.com:9000/prefix"; empty: AWS's own for the region.
    S3Addressing addressing = S3Addressing::kVirtual;
    std::string_view access_key_id;
    std::string_view session_token;
    std::int64_t unix_s = 0;
    std::int64_t expires_seconds = 0;  // 1 to 604800.
    // response-content-disposition, versionId, ...: signed like everything else.
    std::vector<std::pair<std::string_view, std::string_view>> query;
};

struct S3Presigned {
    std::string url;
    std::string canonical_request;
    std::string string_to_sign;
};

// Errors: kInvalidArgument for an empty or malformed bucket, an empty key, an expiry out of bounds,
// a bad endpoint, or a key with a "." or ".." segment (every client would rewrite such a URL before
// sending it).
[[nodiscard]] Result<S3Presigned> presign_s3(const S3PresignRequest& request, const SigV4Key& key);

}  // namespace export_worker::signing
