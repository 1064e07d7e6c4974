// Google Cloud Storage V4 signed URLs.
//
// Source: Google, "V4 signing process with your own program" and the published conformance file.
// Signed with a service account's RSA key, or with an HMAC key of the XML API. The location is
// always "auto".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/crypto/private_key.hpp"
#include "base/result.hpp"
#include "signing/endpoint.hpp"
#include "signing/sigv4.hpp"

namespace export_worker::signing {

enum class GcsStyle {
    kPath,         // https://storage.googleapis.com/BUCKET/OBJECT
    kVirtual,      // https://BUCKET.storage.googleapis.com/OBJECT
    kBucketBound,  // https://HOST/OBJECT, a host name that stands for the bucket
};

// `endpoint` is "https://storage.googleapis.com" or what takes its place: a universe domain, a
// private endpoint, an emulator; with kBucketBound the host of the bucket. The answer is where
// objects begin. Errors: kInvalidArgument.
[[nodiscard]] Result<Endpoint> gcs_bucket_endpoint(std::string_view endpoint,
                                                   std::string_view bucket, GcsStyle style);

struct GcsPresignRequest {
    std::string_view method = "GET";
    const Endpoint* bucket = nullptr;  // gcs_bucket_endpoint().
    std::string_view object;           // Exact bytes, not encoded. Empty: the bucket itself.
    std::string_view access_id;        // Mail address of the service account, or HMAC access id.
    std::int64_t unix_s = 0;
    std::int64_t expires_seconds = 0;  // 1 to 604800.
    NamesAndValues query;
    NamesAndValues headers;  // Beside host. X-Goog-Content-SHA256 takes the payload's place.
};

struct GcsPresigned {
    std::string url;
    std::string canonical_request;
    std::string string_to_sign;
};

// Errors: kInvalidArgument for an expiry out of bounds, a missing access id, an EC key, and what
// check_object_key() refuses.
[[nodiscard]] Result<GcsPresigned> presign_gcs(const GcsPresignRequest& request,
                                               const crypto::PrivateKey& key);
// `key` is derive_sigv4_key(secret, day, "auto", "storage", kGoogleHmac).
[[nodiscard]] Result<GcsPresigned> presign_gcs(const GcsPresignRequest& request,
                                               const SigV4Key& key);

}  // namespace export_worker::signing
