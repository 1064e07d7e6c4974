#include "signing/endpoint.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::signing {
namespace {

// "[2001:db8::1]:9000" and "host:9000" alike; npos when there is no port.
std::size_t find_port(std::string_view host) {
    const std::size_t colon = host.rfind(':');
    const std::size_t bracket = host.rfind(']');
    return colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)
               ? colon
               : std::string_view::npos;
}

bool is_port(std::string_view text) {
    const auto number = parse_unsigned(text);
    return number && *number >= 1 && *number <= 65'535;
}

bool is_host(std::string_view name) {
    if (name.starts_with('[')) {
        return name.size() > 4 && name.ends_with(']') &&
               name.find_first_not_of("0123456789abcdef:.[]") == std::string_view::npos &&
               name.rfind('[') == 0 && name.find(']') == name.size() - 1;
    }
    return !name.empty() && std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
    });
}

}  // namespace

std::string to_lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return out;
}

bool is_address(std::string_view host) {
    const std::string_view name = host.substr(0, find_port(host));
    return name.starts_with('[') || name.find_first_not_of("0123456789.") == std::string_view::npos;
}

Result<Endpoint> parse_endpoint(std::string_view text) {
    const auto refuse = [&] {
        return fail(ErrorCode::kInvalidArgument,
                    "endpoint: expected http:// or https://, a host, then optionally :port and "
                    "/path, found '" +
                        printable(text) + "'");
    };
    Endpoint out;
    for (const std::string_view scheme : {"https://", "http://"}) {
        if (text.starts_with(scheme)) out.scheme = scheme;
    }
    if (out.scheme.empty()) return refuse();
    const std::string_view rest = text.substr(out.scheme.size());
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    out.host = to_lower(rest.substr(0, slash));
    const std::size_t colon = find_port(out.host);
    const std::string_view port = colon == std::string::npos
                                      ? std::string_view()
                                      : std::string_view(out.host).substr(colon + 1);
    if (colon != std::string::npos && !is_port(port)) return refuse();
    if (!is_host(std::string_view(out.host).substr(0, colon))) return refuse();
    if (port == (out.scheme == "https://" ? "443" : "80")) out.host.resize(colon);
    std::string_view path = rest.substr(slash);
    if (has_control_characters(path) || path.find_first_of("?#") != std::string_view::npos)
        return refuse();
    while (path.ends_with('/')) path.remove_suffix(1);
    append_percent_encoded_path(out.path, path);
    return out;
}

}  // namespace export_worker::signing
