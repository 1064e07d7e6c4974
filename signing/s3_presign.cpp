#include "signing/s3_presign.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::signing {
namespace {

struct Target {
    std::string scheme;  // "https://"
    std::string
        host;  // As signed and as sent: lower case, port only when it is not the scheme's own.
    std::string path;  // Encoded.
};

tl::unexpected<Error> refuse(std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what));
}

Result<void> check_bucket(std::string_view bucket) {
    const bool well_formed =
        bucket.size() >= 3 && bucket.size() <= 63 && std::ranges::all_of(bucket, [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '.' || c == '-' || c == '_';
        });
    if (well_formed) return {};
    return refuse("bucket: expected 3 to 63 letters, digits, dots, dashes, found '" +
                  printable(bucket) + "'");
}

Result<void> check_key(std::string_view key) {
    if (key.empty()) return refuse("key: expected at least one byte");
    if (key.size() > limits::kFileKeyBytesMax) {
        return refuse("key: expected at most " + std::to_string(limits::kFileKeyBytesMax) +
                      " bytes");
    }
    for (std::size_t begin = 0; begin <= key.size();) {
        const std::size_t end = std::min(key.find('/', begin), key.size());
        const std::string_view segment = key.substr(begin, end - begin);
        if (segment == "." || segment == "..") {
            return refuse(
                "key: a '" + std::string(segment) +
                "' segment; browsers and proxies rewrite such a path, so no link to it can work");
        }
        begin = end + 1;
    }
    return {};
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return out;
}

// "[2001:db8::1]:9000" and "host:9000" alike.
void drop_default_port(std::string& host, bool https) {
    const std::string_view port = https ? ":443" : ":80";
    if (host.ends_with(port)) host.resize(host.size() - port.size());
}

Result<Target> split_endpoint(const S3PresignRequest& request) {
    Target target;
    if (request.endpoint.empty()) {
        const bool china = request.region.starts_with("cn-");
        target.scheme = "https://";
        target.host =
            "s3." + std::string(request.region) + (china ? ".amazonaws.com.cn" : ".amazonaws.com");
        return target;
    }
    std::string_view rest = request.endpoint;
    bool https = true;
    if (rest.starts_with("https://")) {
        rest.remove_prefix(8);
    } else if (rest.starts_with("http://")) {
        rest.remove_prefix(7);
        https = false;
    } else {
        return refuse("endpoint: expected http:// or https:// in front, found '" +
                      printable(request.endpoint) + "'");
    }
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    target.scheme = https ? "https://" : "http://";
    target.host = lower(rest.substr(0, slash));
    const std::string_view forbidden = " ?#@%\"<>\\";
    if (target.host.empty() || target.host.find_first_of(forbidden) != std::string::npos ||
        has_control_characters(rest) || rest.find_first_of("?#") != std::string_view::npos) {
        return refuse("endpoint: expected scheme://host[:port][/prefix], found '" +
                      printable(request.endpoint) + "'");
    }
    drop_default_port(target.host, https);
    std::string_view prefix = rest.substr(slash);
    while (prefix.ends_with('/')) prefix.remove_suffix(1);
    append_percent_encoded_path(target.path, prefix);
    return target;
}

Result<Target> target_of(const S3PresignRequest& request) {
    EW_CHECK(check_bucket(request.bucket));
    EW_CHECK(check_key(request.key));
    EW_TRY(Target target, split_endpoint(request));
    if (request.addressing == S3Addressing::kVirtual) {
        if (target.host.starts_with('['))
            return refuse("addressing: virtual needs a host name; use path for an address");
        target.host = lower(request.bucket) + "." + target.host;
    } else {
        target.path += '/';
        target.path += request.bucket;
    }
    target.path += '/';
    append_percent_encoded_path(target.path, request.key);
    return target;
}

}  // namespace

Result<S3Presigned> presign_s3(const S3PresignRequest& request, const SigV4Key& key) {
    if (request.expires_seconds < 1 || request.expires_seconds > limits::kLinkLifetimeSecondsMax) {
        return refuse("expires_in: expected 1 to " +
                      std::to_string(limits::kLinkLifetimeSecondsMax) + " seconds, found " +
                      std::to_string(request.expires_seconds));
    }
    if (request.region.empty()) return refuse("region: missing");
    if (request.access_key_id.empty()) return refuse("access_key_id: missing");
    EW_TRY(const Target target, target_of(request));

    SigV4Request canonical;
    canonical.method = request.method;
    canonical.canonical_path = target.path;
    canonical.query = request.query;
    canonical.headers = {{"host", target.host}};
    canonical.payload_hash = "UNSIGNED-PAYLOAD";
    canonical.service = "s3";
    canonical.region = request.region;
    canonical.access_key_id = request.access_key_id;
    canonical.session_token = request.session_token;
    canonical.unix_s = request.unix_s;
    canonical.expires_seconds = request.expires_seconds;
    SigV4Signature signature = presign_sigv4(canonical, key);

    S3Presigned out;
    out.url.reserve(target.scheme.size() + target.host.size() + target.path.size() + 1 +
                    signature.query.size());
    out.url += target.scheme;
    out.url += target.host;
    out.url += target.path;
    out.url += '?';
    out.url += signature.query;
    out.canonical_request = std::move(signature.canonical_request);
    out.string_to_sign = std::move(signature.string_to_sign);
    return out;
}

}  // namespace export_worker::signing
