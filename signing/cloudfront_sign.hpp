// CloudFront signed URLs with canned and custom policies.
//
// Source: AWS, "Creating a signed URL using a canned policy" and "... using a custom policy". The
// edge compares bytes: the URL is used exactly as given, and must be encoded as browsers send it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/crypto/private_key.hpp"
#include "base/result.hpp"

namespace export_worker::signing {

struct CloudFrontRequest {
    std::string_view url;  // Encoded, without fragment.
    bool custom = false;   // Canned policies have an end and nothing else.
    // Custom only. A whole policy, used as it is; or the parts of one.
    std::string_view policy_json;
    std::string_view resource;       // Empty: the URL. May have the wildcards '*' and '?'.
    std::int64_t starts_unix_s = 0;  // 0: at once.
    std::string_view ip;             // IPv4, or IPv4/BITS; empty: any.
    std::int64_t expires_unix_s = 0;
    std::string_view key_pair_id;
    crypto::SignatureDigest digest = crypto::SignatureDigest::kSha1;
};

struct CloudFrontSigned {
    std::string url;
    std::string policy;  // What was signed.
};

// Errors: kInvalidArgument for a URL that is not http(s), is not encoded, has a fragment or one of
// CloudFront's own parameters; text that would break out of the policy; a missing end, a start not
// before it; an address that is not IPv4; a custom part with a canned policy; SHA-1 with an EC key.
[[nodiscard]] Result<CloudFrontSigned> sign_cloudfront(const CloudFrontRequest& request,
                                                       const crypto::PrivateKey& key);

}  // namespace export_worker::signing
