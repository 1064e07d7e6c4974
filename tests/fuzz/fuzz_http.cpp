// The head of a request from anybody. What is accepted is unambiguous: one Host, one length in
// digits, no Transfer-Encoding, an origin-form target of printable ASCII without dot segments.
#include <cstdlib>
#include <string>
#include <string_view>

#include "http_shim/api.hpp"
#include "http_shim/request_head.hpp"
#include "http_shim/routes.hpp"
#include "protocol/message/request.hpp"

using namespace export_worker;
using namespace export_worker::http_shim;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const std::size_t end = bytes.find("\r\n\r\n");
    const std::string_view head_bytes =
        end == std::string_view::npos ? bytes : bytes.substr(0, end + 4);
    const std::string_view body =
        end == std::string_view::npos ? std::string_view() : bytes.substr(end + 4);
    const auto head = parse_request_head(head_bytes, {});
    if (!head) {
        if (head.error().status < 400 || head.error().status > 599) std::abort();
        return 0;
    }
    if (!head->headers.contains("host") || head->headers.contains("transfer-encoding"))
        std::abort();
    for (const char c : head->target) {
        if (c <= 0x20 || c >= 0x7f) std::abort();
    }
    if (head->path.find("/../") != std::string::npos || head->path.ends_with("/..")) std::abort();
    const Match match = match_route(head->method, head->path);
    if (match.route == nullptr || match.route->kind != RouteKind::kCall) return 0;
    const auto message = make_message(match, *head, body, {"id", "", 1000});
    if (!message && message.error().status < 400) std::abort();
    if (message) {
        // A daemon may find a key too long or a body too deep; it can always read whose it is.
        const auto request = message::decode_request(*message);
        if (!request && message::http_status(request.error().error.code) >= 500) std::abort();
        if (request && request->id != "id") std::abort();
    }
    return 0;
}
