// Messages from strangers: whatever the bytes, a request or a refusal, never a crash; and what is
// accepted is exactly what a second, independent reader accepts.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.hpp"
#include "protocol/message/download_url.hpp"
#include "protocol/message/json_text.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"
#include "protocol/message/validate.hpp"

using namespace export_worker;
using namespace export_worker::message;

namespace {

// A reply's result becomes the body of an HTTP response.
void check_json(std::string_view msgpack) {
    std::string text = "before";
    if (append_json(text, msgpack)) {
        if (parse_json(std::string_view(text).substr(6)).is_discarded()) std::abort();
    } else if (text != "before") {
        std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto request = decode_request(bytes);
    if (request) {
        if (!validate_object(bytes)) std::abort();
        const auto whole = parse_msgpack(bytes);
        if (!whole.is_object() || whole["method"] != request->method) std::abort();
        const auto params = parse_msgpack(request->params);
        // The slice is the whole value and nothing else. As text: two NaNs are the same answer.
        if (params.is_discarded()) std::abort();
        if (whole.contains("params") && dump_json(whole["params"]) != dump_json(params))
            std::abort();
        (void)decode_download_url_params(request->params);
        if (!decode_request(encode_request(*request))) std::abort();
    }
    check_json(bytes);
    if (const auto reply = decode_reply(bytes); reply && reply->ok) check_json(reply->result);
    (void)reply_id(bytes);
    return 0;
}
