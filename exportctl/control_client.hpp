// Calls over the control socket.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <nlohmann/json_fwd.hpp>

#include <tl/expected.hpp>

#include "base/result.hpp"
#include "exportctl/command.hpp"
#include "protocol/message/wire_error.hpp"
#include "protocol/transport/client.hpp"

namespace export_worker::exportctl {

class ControlClient {
public:
    // Finds the endpoint in the configuration and connects. Prints what is wrong; the exit code is
    // the error.
    [[nodiscard]] static tl::expected<ControlClient, int> open(const Context& context);
    // The same without a word. Errors: kUnavailable, no daemon answers or this user may not ask it;
    // those of reading the configuration.
    [[nodiscard]] static Result<ControlClient> connect(const Context& context);

    // One request, one reply. A call that times out is not repeated: it may have been done.
    [[nodiscard]] tl::expected<nlohmann::json, message::WireError> call(
        std::string_view method, const nlohmann::json& params, std::string_view organization = {},
        std::chrono::seconds timeout = std::chrono::seconds(30));

private:
    explicit ControlClient(transport::Client client) : client_(std::move(client)) {}
    transport::Client client_;
    std::uint64_t calls_ = 0;
};

// Prints the error and returns the exit code that fits.
int complain(const message::WireError& error);

// The answer as JSON or as `show` prints it for people.
int show_answer(const Context& context, const nlohmann::json& answer,
                void (*show)(const nlohmann::json&));
// Every page of a list as one: `items` of all the answers.
int list_and_show(const Context& context, const char* method, nlohmann::json params,
                  void (*show)(const nlohmann::json&));
// One call, and its answer shown.
int call_and_show(const Context& context, const char* method, const nlohmann::json& params,
                  void (*show)(const nlohmann::json&));

}  // namespace export_worker::exportctl
