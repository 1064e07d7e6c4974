#include "signing/sigv4.hpp"

#include <algorithm>
#include <charconv>

#include "base/hex.hpp"
#include "signing/canonical_query.hpp"
#include "signing/endpoint.hpp"
#include "signing/percent_encoding.hpp"
#include "signing/signing_time.hpp"

namespace export_worker::signing {
namespace {

struct SignedHeaders {
    std::string names;      // "host;x-amz-meta"
    std::string_view host;  // Alone, as it stands; otherwise:
    std::string lines;      // "host:...\nx-amz-meta:...\n"

    void append_lines(std::string& out) const {
        if (host.empty()) {
            out += lines;
            return;
        }
        out += "host:";
        out += host;
        out += '\n';
    }
};

// Trimmed, inner runs of blanks as one space.
void append_header_value(std::string& out, std::string_view value) {
    bool blank = false;
    bool started = false;
    for (const char c : value) {
        if (c == ' ' || c == '\t') {
            blank = started;
            continue;
        }
        if (blank) out += ' ';
        out += c;
        blank = false;
        started = true;
    }
}

// Of a request with more than its host.
SignedHeaders sort_headers(std::span<const NameAndValue> headers) {
    SignedHeaders out;
    std::vector<std::pair<std::string, std::string_view>> sorted;
    for (const auto& [name, value] : headers) sorted.emplace_back(to_lower(name), value);
    // Stable: values of a repeated name keep their order.
    std::ranges::stable_sort(sorted, {}, &std::pair<std::string, std::string_view>::first);
    for (std::size_t index = 0; index < sorted.size(); ++index) {
        const auto& [name, value] = sorted[index];
        if (index > 0 && sorted[index - 1].first == name) {
            out.lines.back() = ',';
        } else {
            if (!out.names.empty()) out.names += ';';
            out.names += name;
            out.lines += name;
            out.lines += ':';
        }
        append_header_value(out.lines, value);
        out.lines += '\n';
    }
    return out;
}

SignedHeaders signed_headers(std::span<const NameAndValue> headers) {
    if (headers.size() != 1 || headers.front().first != "host") return sort_headers(headers);
    SignedHeaders out;  // Every link.
    out.names = "host";
    out.host = headers.front().second;
    return out;
}

// "DAY/REGION/SERVICE/TERMINATOR", with another separator inside a query value.
void append_scope(std::string& out, const SigV4Request& request, std::string_view day,
                  std::string_view separator) {
    out += day;
    for (const std::string_view part :
         {request.region, request.service, request.dialect.terminator}) {
        out += separator;
        out += part;
    }
}

void append_number(std::string& out, std::int64_t number) {
    std::array<char, 20> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
    out.append(text.data(), end);
}

void append_query(std::string& out, const SigV4Request& request, const SigningTime& time,
                  std::string_view header_names) {
    const std::string_view prefix = request.dialect.prefix;
    CanonicalQuery query(out);
    query.begin(prefix, "Algorithm") += request.dialect.algorithm;
    std::string& credential = query.begin(prefix, "Credential");
    append_percent_encoded(credential, request.access_key_id);
    credential += "%2F";
    append_scope(credential, request, time.day(), "%2F");
    query.begin(prefix, "Date") += time.timestamp();
    append_number(query.begin(prefix, "Expires"), request.expires_seconds);
    if (!request.session_token.empty() && request.sign_session_token)
        append_percent_encoded(query.begin(prefix, "Security-Token"), request.session_token);
    append_percent_encoded(query.begin(prefix, "SignedHeaders"), header_names);
    // Last: "response-..." sorts behind "X-...".
    for (const auto& [name, value] : request.query) query.add(name, value);
    query.finish();
}

}  // namespace

SigV4Key derive_sigv4_key(std::string_view secret_access_key, std::string_view day,
                          std::string_view region, std::string_view service,
                          const SigV4Dialect& dialect) {
    std::string start(dialect.secret_prefix);
    start += secret_access_key;
    const auto day_key = crypto::hmac_sha256(start, day);
    const auto region_key = crypto::hmac_sha256(crypto::as_bytes(day_key), region);
    const auto service_key = crypto::hmac_sha256(crypto::as_bytes(region_key), service);
    return crypto::hmac_sha256(crypto::as_bytes(service_key), dialect.terminator);
}

SigV4Canonical canonicalize_sigv4(const SigV4Request& request) {
    const SigningTime time(request.unix_s);
    const SignedHeaders headers = signed_headers(request.headers);
    SigV4Canonical out;
    std::string& canonical = out.canonical_request;
    canonical.reserve(768 + request.canonical_path.size() + request.session_token.size());
    canonical += request.method;
    canonical += '\n';
    canonical += request.canonical_path;
    canonical += '\n';
    out.query_begin = canonical.size();
    append_query(canonical, request, time, headers.names);
    out.query_end = canonical.size();
    canonical += '\n';
    headers.append_lines(canonical);
    canonical += '\n';
    canonical += headers.names;
    canonical += '\n';
    canonical += request.payload_hash;

    std::string& to_sign = out.string_to_sign;
    to_sign.reserve(192);
    to_sign += request.dialect.algorithm;
    to_sign += '\n';
    to_sign += time.timestamp();
    to_sign += '\n';
    append_scope(to_sign, request, time.day(), "/");
    to_sign += '\n';
    append_hex(to_sign, crypto::sha256(canonical));
    return out;
}

void append_sigv4_query(std::string& url, const SigV4Request& request,
                        const SigV4Canonical& canonical, std::span<const std::uint8_t> signature) {
    url += canonical.query();
    if (!request.session_token.empty() && !request.sign_session_token) {
        url += '&';
        url += request.dialect.prefix;
        url += "Security-Token=";
        append_percent_encoded(url, request.session_token);
    }
    url += '&';
    url += request.dialect.prefix;
    url += "Signature=";
    append_hex(url, signature);
}

SigV4Signature presign_sigv4(const SigV4Request& request, const SigV4Key& key) {
    SigV4Canonical canonical = canonicalize_sigv4(request);
    SigV4Signature out;
    append_sigv4_query(out.query, request, canonical,
                       crypto::hmac_sha256(crypto::as_bytes(key), canonical.string_to_sign));
    out.canonical_request = std::move(canonical.canonical_request);
    out.string_to_sign = std::move(canonical.string_to_sign);
    return out;
}

std::string sigv4_canonical_path(std::string_view path, bool normalize) {
    std::string out;
    if (!normalize) {
        append_percent_encoded_path(out, path);
        return out;
    }
    std::vector<std::string_view> segments;
    for (std::size_t begin = 0; begin < path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view segment = path.substr(begin, end - begin);
        if (segment == ".." && !segments.empty()) segments.pop_back();
        if (!segment.empty() && segment != "." && segment != "..") segments.push_back(segment);
        begin = end + 1;
    }
    for (const std::string_view segment : segments) {
        out += '/';
        append_percent_encoded(out, segment);
    }
    if (out.empty() || path.ends_with('/')) out += '/';
    return out;
}

}  // namespace export_worker::signing
