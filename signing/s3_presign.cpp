#include "signing/s3_presign.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "signing/limits.hpp"
#include "signing/object_key.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::signing {
namespace {

bool is_label_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
}

Result<void> check_bucket(std::string_view bucket) {
    const bool well_formed =
        bucket.size() >= 3 && bucket.size() <= 63 && std::ranges::all_of(bucket, [](char c) {
            return is_label_character(c) || c == '.' || c == '_';
        });
    if (well_formed) return {};
    return invalid_argument("bucket: expected 3 to 63 letters, digits, dots, dashes, found '" +
                            printable(bucket) + "'");
}

Result<void> check_region(std::string_view region) {
    if (!region.empty() && region.size() <= 64 && std::ranges::all_of(region, is_label_character))
        return {};
    return invalid_argument(
        "region: expected letters, digits and dashes, such as eu-central-1, found '" +
        printable(region) + "'");
}

std::string aws_endpoint(std::string_view region) {
    std::string out = "https://s3.";
    out += region;
    out += region.starts_with("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com";
    return out;
}

}  // namespace

Result<Endpoint> s3_bucket_endpoint(std::string_view endpoint, std::string_view region,
                                    std::string_view bucket, S3Addressing addressing) {
    EW_CHECK(check_bucket(bucket));
    EW_CHECK(check_region(region));
    EW_TRY(Endpoint out,
           parse_endpoint(endpoint.empty() ? aws_endpoint(region) : std::string(endpoint)));
    if (addressing == S3Addressing::kPath) {
        out.path += '/';
        out.path += bucket;
        return out;
    }
    if (is_address(out.host))
        return invalid_argument("addressing: virtual needs a host name, found the address '" +
                                out.host + "'; use addressing = path");
    out.host = to_lower(bucket) + "." + out.host;
    return out;
}

Result<S3Presigned> presign_s3(const S3PresignRequest& request, const SigV4Key& key) {
    if (request.expires_seconds < 1 || request.expires_seconds > limits::kLinkLifetimeSecondsMax) {
        return invalid_argument("expires_in: expected 1 to " +
                                std::to_string(limits::kLinkLifetimeSecondsMax) +
                                " seconds, found " + std::to_string(request.expires_seconds));
    }
    EW_CHECK(check_region(request.region));
    if (request.access_key_id.empty()) return invalid_argument("access_key_id: missing");
    if (!request.key.empty()) EW_CHECK(check_object_key(request.key));

    S3Presigned out;
    const Endpoint& bucket = *request.bucket;
    out.url.reserve(768 + request.session_token.size());
    out.url += bucket.scheme;
    out.url += bucket.host;
    const std::size_t path_begin = out.url.size();
    out.url += bucket.path;
    if (!request.key.empty() || bucket.path.empty()) out.url += '/';
    append_percent_encoded_path(out.url, request.key);
    // A view into the URL, which grows again only once it has been signed.
    const std::string_view path = std::string_view(out.url).substr(path_begin);

    SigV4Request canonical;
    canonical.method = request.method;
    canonical.canonical_path = path;
    canonical.query = request.query;
    const NameAndValue host{"host", bucket.host};
    NamesAndValues headers;  // Only when there is more than the host.
    if (!request.headers.empty()) {
        headers = request.headers;
        headers.push_back(host);
        canonical.headers = headers;
    } else {
        canonical.headers = {&host, 1};
    }
    canonical.payload_hash = "UNSIGNED-PAYLOAD";
    canonical.service = "s3";
    canonical.region = request.region;
    canonical.access_key_id = request.access_key_id;
    canonical.session_token = request.session_token;
    canonical.unix_s = request.unix_s;
    canonical.expires_seconds = request.expires_seconds;
    SigV4Canonical text = canonicalize_sigv4(canonical);
    out.url += '?';
    append_sigv4_query(out.url, canonical, text,
                       crypto::hmac_sha256(crypto::as_bytes(key), text.string_to_sign));
    out.canonical_request = std::move(text.canonical_request);
    out.string_to_sign = std::move(text.string_to_sign);
    return out;
}

}  // namespace export_worker::signing
