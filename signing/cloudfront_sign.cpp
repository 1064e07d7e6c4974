#include "signing/cloudfront_sign.hpp"

#include <algorithm>
#include <array>

#include "base/base64.hpp"
#include "base/text.hpp"

namespace export_worker::signing {
namespace {

using crypto::PrivateKey;
using crypto::SignatureDigest;

// Characters a URL may hold as they are, and the '%' of an encoded one (RFC 3986). What JSON would
// need escaped is not among them.
bool is_url_character(char c) {
    constexpr std::string_view kMarks = "-._~:/?#[]@!$&'()*+,;=%";
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
}

Result<void> check_url(std::string_view name, std::string_view url) {
    const std::string field(name);
    if (!url.starts_with("https://") && !url.starts_with("http://"))
        return invalid_argument(field + ": expected http:// or https://, found '" + printable(url) +
                                "'");
    if (!std::ranges::all_of(url, is_url_character)) {
        return invalid_argument(
            field + ": expected a percent-encoded URL, found '" + printable(url) +
            "'; encode blanks, quotes, braces, backslashes and everything beyond ASCII");
    }
    if (url.find('#') != std::string_view::npos)
        return invalid_argument(field + ": expected no fragment, found '" + printable(url) + "'");
    return {};
}

Result<void> check_own_parameters(std::string_view url) {
    constexpr std::array<std::string_view, 5> kReserved{"Expires", "Policy", "Signature",
                                                        "Key-Pair-Id", "Hash-Algorithm"};
    const std::size_t question = url.find('?');
    if (question == std::string_view::npos) return {};
    for (std::size_t begin = question + 1; begin <= url.size();) {
        const std::size_t end = std::min(url.find('&', begin), url.size());
        const std::string_view parameter = url.substr(begin, end - begin);
        const std::string_view name = parameter.substr(0, parameter.find('='));
        if (std::ranges::find(kReserved, name) != kReserved.end())
            return invalid_argument("url: the parameter '" + std::string(name) +
                                    "' is CloudFront's own");
        begin = end + 1;
    }
    return {};
}

// "192.168.0.0/24": four numbers to 255, optionally a prefix to 32.
bool is_ipv4_range(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto bits = slash == std::string_view::npos ? std::optional<std::uint64_t>(32)
                                                      : parse_unsigned(text.substr(slash + 1));
    if (!bits || *bits > 32) return false;
    std::string_view rest = text.substr(0, slash);
    for (int part = 0; part < 4; ++part) {
        const std::size_t dot = part < 3 ? rest.find('.') : rest.size();
        if (dot == std::string_view::npos) return false;
        const auto number = parse_unsigned(rest.substr(0, dot));
        if (!number || *number > 255) return false;
        rest.remove_prefix(std::min(dot + 1, rest.size()));
    }
    return rest.empty();
}

Result<void> check(const CloudFrontRequest& request, const PrivateKey& key) {
    EW_CHECK(check_url("url", request.url));
    EW_CHECK(check_own_parameters(request.url));
    if (request.key_pair_id.empty() || !std::ranges::all_of(request.key_pair_id, [](char c) {
            return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        }))
        return invalid_argument("key_pair_id: expected letters and digits, found '" +
                                printable(request.key_pair_id) + "'");
    if (key.kind() == PrivateKey::Kind::kEcP256 && request.digest == SignatureDigest::kSha1)
        return invalid_argument("hash: expected SHA256 with an EC key, found SHA1");
    const bool parts = !request.resource.empty() || request.starts_unix_s != 0 ||
                       !request.ip.empty() || !request.policy_json.empty();
    if (!request.custom && parts)
        return invalid_argument("policy: a canned policy has an end only; use custom for the rest");
    if (!request.policy_json.empty()) return {};
    if (!request.resource.empty()) EW_CHECK(check_url("resource", request.resource));
    if (request.expires_unix_s < 1)
        return invalid_argument("expires_at: expected seconds since 1970, found " +
                                std::to_string(request.expires_unix_s));
    if (request.starts_unix_s < 0 || request.starts_unix_s >= request.expires_unix_s)
        return invalid_argument("starts_at: expected a time before expires_at, found " +
                                std::to_string(request.starts_unix_s));
    if (!request.ip.empty() && !is_ipv4_range(request.ip))
        return invalid_argument(
            "ip: expected an IPv4 address or range such as 192.0.2.0/24, found '" +
            printable(request.ip) + "'");
    return {};
}

std::string policy_of(const CloudFrontRequest& request) {
    if (!request.policy_json.empty()) return std::string(request.policy_json);
    std::string out = R"({"Statement":[{"Resource":")";
    out += request.resource.empty() ? request.url : request.resource;
    out += R"(","Condition":{"DateLessThan":{"AWS:EpochTime":)";
    out += std::to_string(request.expires_unix_s);
    out += '}';
    if (request.starts_unix_s != 0) {
        out += R"(,"DateGreaterThan":{"AWS:EpochTime":)";
        out += std::to_string(request.starts_unix_s);
        out += '}';
    }
    if (!request.ip.empty()) {
        out += R"(,"IpAddress":{"AWS:SourceIp":")";
        out += request.ip;
        out += R"("})";
    }
    out += "}}]}";
    return out;
}

// Base64 with the three characters replaced that mean something in a query.
void append_cloudfront_base64(std::string& out, std::string_view bytes) {
    const std::size_t begin = out.size();
    append_base64(out, bytes);
    for (std::size_t index = begin; index < out.size(); ++index) {
        switch (out[index]) {
            case '+': out[index] = '-'; break;
            case '=': out[index] = '_'; break;
            case '/': out[index] = '~'; break;
            default: break;
        }
    }
}

}  // namespace

Result<CloudFrontSigned> sign_cloudfront(const CloudFrontRequest& request, const PrivateKey& key) {
    EW_CHECK(check(request, key));
    CloudFrontSigned out;
    out.policy = policy_of(request);
    out.url.reserve(1024);
    out.url += request.url;
    out.url += request.url.find('?') == std::string_view::npos ? '?' : '&';
    if (request.custom) {
        out.url += "Policy=";
        append_cloudfront_base64(out.url, out.policy);
    } else {
        out.url += "Expires=";
        out.url += std::to_string(request.expires_unix_s);
    }
    out.url += "&Signature=";
    append_cloudfront_base64(out.url, key.sign(request.digest, out.policy));
    out.url += "&Key-Pair-Id=";
    out.url += request.key_pair_id;
    if (request.digest == SignatureDigest::kSha256) out.url += "&Hash-Algorithm=SHA256";
    return out;
}

}  // namespace export_worker::signing
