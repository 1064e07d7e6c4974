// The head of a request from a stranger, and the answer of a daemon. What is accepted is
// unambiguous: one Host, one length in digits, no Transfer-Encoding, an origin-form target of
// printable ASCII without dot segments.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/address_list.hpp"
#include "http_shim/api.hpp"
#include "http_shim/request_head.hpp"
#include "http_shim/routes.hpp"
#include "protocol/message/request.hpp"
#include "protocol/message/trace.hpp"

using namespace export_worker;
using namespace export_worker::http_shim;

namespace {

void check(bool good) {
    if (!good) std::abort();
}

// Text that goes into a header of the answer or into a log, whatever the request says.
void check_headers(const RequestHead& head) {
    static const AddressList proxies = *AddressList::parse("10.0.0.0/8 ::1 unix");
    const std::string client = client_address("10.0.0.1", head.header("x-forwarded-for"), proxies);
    check(!client.empty() && client.size() <= 64 && !limit_group(client).empty());
    const std::string trace = message::make_traceparent(head.header("traceparent"));
    check(message::is_traceparent(trace) && trace.starts_with("00-"));
    const std::string id = request_id_of(head);
    check(!id.empty() && id.size() <= 40);
    for (const char c : id) check(c > 0x20 && c < 0x7f);
    (void)credential_of(head);
}

// `reply` as if the daemon had sent it.
void check_response(const Match& match, std::string_view reply) {
    const Response response = make_response(match, std::string(reply));
    check(response.status >= 200 && response.status <= 599);
    for (const auto& [name, value] : response.headers) {
        for (const char c : value) check(c >= 0x20 && c < 0x7f);
    }
}

}  // namespace

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
    // Only HTTP/1.0, which is never kept, may come without a Host.
    if (!head->headers.contains("host") && head->keep_alive) std::abort();
    if (head->headers.contains("transfer-encoding")) std::abort();
    for (const char c : head->target) {
        if (c <= 0x20 || c >= 0x7f) std::abort();
    }
    if (head->path.find("/../") != std::string::npos || head->path.ends_with("/..")) std::abort();
    check_headers(*head);
    const Match match = match_route(head->method, head->path);
    if (match.route == nullptr || match.route->kind != RouteKind::kCall) return 0;
    check_response(match, body);
    const auto message = make_message(match, *head, body, {"id", "", 1000});
    if (!message && message.error().status < 400) std::abort();
    if (message) {
        // The daemon may refuse a long key or a deep body, but it can always read the id.
        const auto request = message::decode_request(*message);
        if (!request && message::http_status(request.error().error.code) >= 500) std::abort();
        if (request && request->id != "id") std::abort();
    }
    return 0;
}
