// The head of an HTTP request, after every framing rule has been applied.
//
// Beast tokenizes; what is acceptable is decided here (docs/http.md lists the rules): its parser
// lets through a number of heads that a proxy in front may read differently, and a difference there
// is a smuggled request.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <vector>
#include <tl/expected.hpp>

namespace export_worker::http_shim {

enum class Method { kGet, kHead, kPost, kOptions };

struct RequestHead {
    Method method = Method::kGet;
    std::string target;  // Path and query, as sent.
    std::string path;  // As sent, before '?'. Printable ASCII, no dot segments, no encoded slashes.
    std::string query;  // As sent, after '?'.
    // Lower-case names; only those the shim looks at.
    using Headers = std::map<std::string, std::string, std::less<>>;
    Headers headers;
    std::uint64_t content_length = 0;
    bool has_body = false;   // A Content-Length was given.
    bool keep_alive = true;  // What the client asks for.
    bool expects_continue = false;

    [[nodiscard]] std::string_view header(std::string_view name) const {
        const auto found = headers.find(name);
        return found == headers.end() ? std::string_view() : std::string_view(found->second);
    }
};

// Lower-case ASCII.
[[nodiscard]] std::string lower_case(std::string_view text);
// "host:80" and "host:443" are "host".
[[nodiscard]] std::string without_default_port(std::string authority);
// Whether `host` is one of `hosts` (see Config); an entry without a port stands for every port.
[[nodiscard]] bool is_accepted_host(std::string_view host, const std::vector<std::string>& hosts);

// A target as the log may have it: values of unknown parameters, signatures, and everything that
// looks like a credential are left out, however they are spelt.
[[nodiscard]] std::string loggable_target(std::string_view target);

// The answer to a head that is not acceptable; the connection is closed after it.
struct HeadRefusal {
    int status = 400;
    std::string detail;
    std::string origin = {};  // The request's one Origin; empty: none, or not known.
    std::string path = {};    // As sent, for 405; empty: not a path.
};

// Whether the beginning of a head can still become an acceptable one: not once a line ends without
// CR, or a control character stands where a method should be (as in a TLS hello). What lies before
// `from` was looked at before.
[[nodiscard]] bool may_become_head(std::string_view bytes, std::size_t from = 0);

// `bytes` end with the empty line. `hosts`: see Config; /livez, /readyz and /metrics are for
// probes, which name an address or nothing, so they are answered whatever Host says.
[[nodiscard]] tl::expected<RequestHead, HeadRefusal> parse_request_head(
    std::string_view bytes, const std::vector<std::string>& hosts);

}  // namespace export_worker::http_shim
