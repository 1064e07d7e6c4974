#include "exportctl/control_client.hpp"

#include <unistd.h>

#include <cerrno>

#include "base/json.hpp"
#include "base/options/config_file.hpp"
#include "exportctl/interrupt.hpp"
#include "exportctl/output.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"

namespace export_worker::exportctl {
namespace {

using message::WireCode;
using nlohmann::json;

Result<std::string> control_endpoint(const Context& context) {
    EW_TRY(const auto file, options::ConfigFile::read(context.config_path));
    options::Section section = file.section("daemon");
    std::string state_dir;
    section.text("state_dir", state_dir);
    std::string endpoint = "ipc://" + state_dir + "/run/control.sock";
    section.text("control_endpoint", endpoint);
    return endpoint;
}

// The file of an ipc endpoint may not be opened by this user, which libzmq would try again and
// again.
bool is_forbidden(std::string_view endpoint) {
    constexpr std::string_view kIpc = "ipc://";
    return endpoint.starts_with(kIpc) &&
           ::access(std::string(endpoint.substr(kIpc.size())).c_str(), W_OK) != 0 &&
           errno == EACCES;
}

}  // namespace

Result<ControlClient> ControlClient::connect(const Context& context) {
    EW_TRY(const std::string endpoint, control_endpoint(context));
    if (is_forbidden(endpoint))
        return fail(ErrorCode::kUnavailable,
                    "open " + endpoint +
                        ": permission denied; run exportctl as root or as the daemon's user");
    EW_TRY(auto client, transport::Client::open(endpoint));
    if (!client.wait_connected(std::chrono::milliseconds(2000)))
        return fail(ErrorCode::kUnavailable,
                    "no daemon answers on " + endpoint + "; is export-workerd running?");
    return ControlClient(std::move(client));
}

tl::expected<ControlClient, int> ControlClient::open(const Context& context) {
    auto client = connect(context);
    if (client) return std::move(*client);
    const bool away = client.error().code == ErrorCode::kUnavailable;
    return tl::unexpected(complain(away ? kExitUnavailable : kExitConfig, client.error().message));
}

tl::expected<json, message::WireError> ControlClient::call(std::string_view method,
                                                           const json& params,
                                                           std::string_view organization,
                                                           std::chrono::seconds timeout) {
    const std::string bytes = dump_msgpack(params);
    const std::string id = "exportctl-" + std::to_string(++calls_);
    message::Request request;
    request.id = id;
    request.method = method;
    request.deadline_ms = static_cast<std::uint32_t>(std::chrono::milliseconds(timeout).count());
    request.credentials.organization_id = organization;
    request.params = bytes;
    const auto fail_with = [](WireCode code, std::string text) {
        return tl::unexpected(message::make_error(code, std::move(text)));
    };
    if (!client_.send(message::encode_request(request))) {
        return fail_with(WireCode::kPluginUnavailable, "the daemon has gone away");
    }
    const unsigned losses = client_.losses();
    const auto end = std::chrono::steady_clock::now() + timeout;
    while (std::chrono::steady_clock::now() < end) {
        if (const auto reply = client_.receive()) {
            const auto decoded = message::decode_reply(*reply);
            if (!decoded) return fail_with(WireCode::kInternal, decoded.error().message);
            if (decoded->id != id) continue;
            if (!decoded->ok) return tl::unexpected(decoded->error);
            return parse_msgpack(decoded->result);
        }
        if (client_.losses() != losses) {
            return fail_with(WireCode::kPluginUnavailable,
                             "the daemon went away before it answered; look at its log, then at "
                             "the state, before you try again");
        }
        if (interrupted())
            return fail_with(WireCode::kDeadlineExceeded, "interrupted before the daemon answered");
        client_.wait(std::chrono::milliseconds(200), -1);
    }
    client_.reconnect();
    return fail_with(WireCode::kDeadlineExceeded, "the daemon did not answer in time");
}

int complain(const message::WireError& error) {
    const bool away =
        error.code == WireCode::kPluginUnavailable || error.code == WireCode::kDeadlineExceeded;
    return complain(away ? kExitUnavailable : kExitRefused, error.message,
                    message::to_string(error.code));
}

int show_answer(const Context& context, const nlohmann::json& answer,
                void (*show)(const nlohmann::json&)) {
    if (context.json) {
        print_json(answer);
    } else {
        show(answer);
    }
    return kExitOk;
}

int list_and_show(const Context& context, const char* method, nlohmann::json params,
                  void (*show)(const nlohmann::json&)) {
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    json items = json::array();
    for (;;) {
        auto page = client->call(method, params);
        if (!page) return complain(page.error());
        for (json& item : (*page)["items"]) items.push_back(std::move(item));
        // A daemon before there were pages answers with the whole list.
        if (!page->contains("next") || (*page)["next"].is_null()) break;
        params["after"] = (*page)["next"];
    }
    return show_answer(context, {{"items", std::move(items)}}, show);
}

int call_and_show(const Context& context, const char* method, const nlohmann::json& params,
                  void (*show)(const nlohmann::json&)) {
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    const auto answer = client->call(method, params);
    return answer ? show_answer(context, *answer, show) : complain(answer.error());
}

}  // namespace export_worker::exportctl
