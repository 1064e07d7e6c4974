#include "signing/gcs_presign.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "signing/limits.hpp"
#include "signing/object_key.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::signing {
namespace {

std::span<const std::uint8_t> as_span(std::string_view bytes) {
    return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

std::string path_of(const GcsPresignRequest& request) {
    std::string out = request.bucket->path;
    if (!request.object.empty() || out.empty()) out += '/';
    append_percent_encoded_path(out, request.object);
    return out;
}

// `sign` makes the signature's bytes from the string to sign.
template <typename Sign>
Result<GcsPresigned> presign(const GcsPresignRequest& request, const SigV4Dialect& dialect,
                             Sign sign) {
    if (request.expires_seconds < 1 || request.expires_seconds > limits::kLinkLifetimeSecondsMax) {
        return invalid_argument("expires_in: expected 1 to " +
                                std::to_string(limits::kLinkLifetimeSecondsMax) +
                                " seconds, found " + std::to_string(request.expires_seconds));
    }
    if (request.access_id.empty()) return invalid_argument("client_email: missing");
    if (!request.object.empty()) EW_CHECK(check_object_key(request.object));
    const std::string path = path_of(request);
    SigV4Request canonical;
    canonical.dialect = dialect;
    canonical.method = request.method;
    canonical.canonical_path = path;
    canonical.query = request.query;
    NamesAndValues headers{{"host", request.bucket->host}};
    canonical.payload_hash = "UNSIGNED-PAYLOAD";
    for (const auto& header : request.headers) {
        headers.push_back(header);
        if (to_lower(header.first) == "x-goog-content-sha256")
            canonical.payload_hash = header.second;
    }
    canonical.headers = headers;
    canonical.service = "storage";
    canonical.region = "auto";
    canonical.access_key_id = request.access_id;
    canonical.unix_s = request.unix_s;
    canonical.expires_seconds = request.expires_seconds;
    SigV4Canonical text = canonicalize_sigv4(canonical);

    GcsPresigned out;
    out.url.reserve(1280);
    out.url += request.bucket->scheme;
    out.url += request.bucket->host;
    out.url += path;
    out.url += '?';
    append_sigv4_query(out.url, canonical, text, sign(text.string_to_sign));
    out.canonical_request = std::move(text.canonical_request);
    out.string_to_sign = std::move(text.string_to_sign);
    return out;
}

}  // namespace

Result<Endpoint> gcs_bucket_endpoint(std::string_view endpoint, std::string_view bucket,
                                     GcsStyle style) {
    EW_TRY(Endpoint out, parse_endpoint(endpoint));
    if (style == GcsStyle::kBucketBound) return out;
    const bool well_formed =
        bucket.size() >= 3 && bucket.size() <= 222 && std::ranges::all_of(bucket, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                   c == '_';
        });
    if (!well_formed) {
        return invalid_argument(
            "bucket: expected 3 to 222 lower-case letters, digits, dots, dashes and underscores, "
            "found '" +
            printable(bucket) + "'");
    }
    if (style == GcsStyle::kPath) {
        out.path += '/';
        out.path += bucket;
        return out;
    }
    if (is_address(out.host))
        return invalid_argument("style: virtual needs a host name, found the address '" + out.host +
                                "'");
    out.host = std::string(bucket) + "." + out.host;
    return out;
}

Result<GcsPresigned> presign_gcs(const GcsPresignRequest& request, const crypto::PrivateKey& key) {
    if (key.kind() != crypto::PrivateKey::Kind::kRsa)
        return invalid_argument("private_key_pem: expected an RSA key, found an EC key");
    return presign(request, kGoogleRsa,
                   [&, signature = std::string()](std::string_view text) mutable {
                       signature = key.sign(crypto::SignatureDigest::kSha256, text);
                       return as_span(signature);
                   });
}

Result<GcsPresigned> presign_gcs(const GcsPresignRequest& request, const SigV4Key& key) {
    return presign(request, kGoogleHmac, [&](std::string_view text) {
        return crypto::hmac_sha256(crypto::as_bytes(key), text);
    });
}

}  // namespace export_worker::signing
