// Messages from strangers: whatever the bytes, a request or a refusal, never a crash; and what is
// accepted is exactly what a second, independent reader accepts.
#include <cstdlib>
#include <string>
#include <string_view>
#include <nlohmann/json.hpp>

#include "protocol/message/download_url.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"
#include "protocol/message/validate.hpp"

using namespace export_worker::message;

namespace {

std::string text_of(const nlohmann::json& value) {
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto request = decode_request(bytes);
    if (request) {
        if (!validate_object(bytes)) std::abort();
        const auto whole = nlohmann::json::from_msgpack(bytes.begin(), bytes.end(), true, false);
        if (!whole.is_object() || whole["method"] != request->method) std::abort();
        const auto params = nlohmann::json::from_msgpack(request->params.begin(),
                                                         request->params.end(), true, false);
        // The slice is the whole value and nothing else. As text: two NaNs are the same answer.
        if (params.is_discarded()) std::abort();
        if (whole.contains("params") && text_of(whole["params"]) != text_of(params)) std::abort();
        (void)decode_download_url_params(request->params);
        if (!decode_request(encode_request(*request))) std::abort();
    }
    (void)decode_reply(bytes);
    (void)reply_id(bytes);
    return 0;
}
