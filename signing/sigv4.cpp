#include "signing/sigv4.hpp"

#include <algorithm>

#include "base/hex.hpp"
#include "signing/percent_encoding.hpp"
#include "signing/signing_time.hpp"

namespace export_worker::signing {
namespace {

struct EncodedParameter {
    std::string name;
    std::string value;
    // By name, then value: sorting joined "name=value" text would put "a-b=" before "a=".
    auto operator<=>(const EncodedParameter&) const = default;
};

std::string signed_header_names(const SigV4Request& request) {
    std::string out;
    for (const auto& header : request.headers) {
        if (!out.empty()) out += ';';
        out += header.first;
    }
    return out;
}

std::string canonical_query(const SigV4Request& request, std::string_view scope,
                            std::string_view timestamp, std::string_view signed_headers) {
    std::vector<EncodedParameter> parameters;
    parameters.reserve(request.query.size() + 6);
    const auto add = [&](std::string_view name, std::string_view value) {
        parameters.push_back({percent_encode(name), percent_encode(value)});
    };
    for (const auto& [name, value] : request.query) add(name, value);
    add("X-Amz-Algorithm", "AWS4-HMAC-SHA256");
    add("X-Amz-Credential", std::string(request.access_key_id) + "/" + std::string(scope));
    add("X-Amz-Date", timestamp);
    add("X-Amz-Expires", std::to_string(request.expires_seconds));
    add("X-Amz-SignedHeaders", signed_headers);
    if (!request.session_token.empty() && request.sign_session_token) {
        add("X-Amz-Security-Token", request.session_token);
    }
    std::ranges::sort(parameters);
    std::string out;
    for (const EncodedParameter& parameter : parameters) {
        if (!out.empty()) out += '&';
        out += parameter.name;
        out += '=';
        out += parameter.value;
    }
    return out;
}

}  // namespace

SigV4Key derive_sigv4_key(std::string_view secret_access_key, std::string_view day,
                          std::string_view region, std::string_view service) {
    std::string start = "AWS4";
    start += secret_access_key;
    const auto day_key = crypto::hmac_sha256(start, day);
    const auto region_key = crypto::hmac_sha256(crypto::as_bytes(day_key), region);
    const auto service_key = crypto::hmac_sha256(crypto::as_bytes(region_key), service);
    return crypto::hmac_sha256(crypto::as_bytes(service_key), "aws4_request");
}

SigV4Signature presign_sigv4(const SigV4Request& request, const SigV4Key& key) {
    const SigningTime time(request.unix_s);
    std::string scope(time.day());
    for (const std::string_view part :
         {request.region, request.service, std::string_view("aws4_request")}) {
        scope += '/';
        scope += part;
    }
    const std::string signed_headers = signed_header_names(request);

    SigV4Signature out;
    out.query = canonical_query(request, scope, time.timestamp(), signed_headers);

    std::string& canonical = out.canonical_request;
    canonical.reserve(256 + request.canonical_path.size() + out.query.size());
    canonical += request.method;
    canonical += '\n';
    canonical += request.canonical_path;
    canonical += '\n';
    canonical += out.query;
    canonical += '\n';
    for (const auto& [name, value] : request.headers) {
        canonical += name;
        canonical += ':';
        canonical += value;
        canonical += '\n';
    }
    canonical += '\n';
    canonical += signed_headers;
    canonical += '\n';
    canonical += request.payload_hash;

    out.string_to_sign = "AWS4-HMAC-SHA256\n";
    out.string_to_sign += time.timestamp();
    out.string_to_sign += '\n';
    out.string_to_sign += scope;
    out.string_to_sign += '\n';
    append_hex(out.string_to_sign, crypto::sha256(canonical));

    if (!request.session_token.empty() && !request.sign_session_token) {
        out.query += "&X-Amz-Security-Token=";
        append_percent_encoded(out.query, request.session_token);
    }
    out.query += "&X-Amz-Signature=";
    append_hex(out.query, crypto::hmac_sha256(crypto::as_bytes(key), out.string_to_sign));
    return out;
}

}  // namespace export_worker::signing
