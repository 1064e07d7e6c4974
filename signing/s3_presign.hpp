// Presigned S3 URLs, for AWS and everything compatible.
//
// Source: AWS, "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)". What S3
// does its own way: the payload is UNSIGNED-PAYLOAD, the key is encoded once and never normalised,
// and only `host` is signed unless the caller wants more, so that a browser can use the URL.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "signing/endpoint.hpp"
#include "signing/sigv4.hpp"

namespace export_worker::signing {

enum class S3Addressing {
    kVirtual,  // https://BUCKET.host/KEY
    kPath,     // https://host/BUCKET/KEY
};

// `endpoint` is "https://files.example.com:9000/prefix", or empty for AWS's own in `region`
// (dual-stack and partition endpoints are endpoints like any other). The answer is where keys
// begin: host and path with the bucket in one of them. Depends on nothing but the store: worth
// keeping. Errors: kInvalidArgument for a malformed bucket, region or endpoint, and for virtual
// addressing on an IP address.
[[nodiscard]] Result<Endpoint> s3_bucket_endpoint(std::string_view endpoint,
                                                  std::string_view region, std::string_view bucket,
                                                  S3Addressing addressing);

struct S3PresignRequest {
    std::string_view method = "GET";
    const Endpoint* bucket = nullptr;  // s3_bucket_endpoint().
    std::string_view key;              // Exact bytes, not encoded. Empty: the bucket itself.
    std::string_view region;
    std::string_view access_key_id;
    std::string_view session_token;
    std::int64_t unix_s = 0;
    std::int64_t expires_seconds = 0;  // 1 to 604800.
    NamesAndValues query;    // response-content-disposition, versionId, ...: signed like the rest.
    NamesAndValues headers;  // Beside host. A client of the URL must send the same.
};

struct S3Presigned {
    std::string url;
    std::string canonical_request;
    std::string string_to_sign;
};

// Errors: kInvalidArgument for an expiry out of bounds, a missing key id or region, and what
// check_object_key() refuses.
[[nodiscard]] Result<S3Presigned> presign_s3(const S3PresignRequest& request, const SigV4Key& key);

}  // namespace export_worker::signing
