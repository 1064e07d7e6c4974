#include "daemon/plugins/probing/golden.hpp"

#include <algorithm>
#include <filesystem>

#include "base/io.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "daemon/plugins/probing/limits.hpp"

namespace export_worker::plugins {
namespace {

using nlohmann::json;

constexpr const char* kStage = "probe";

tl::unexpected<Refusal> bad_line(std::size_t line, const std::string& why) {
    return refuse({"probe_failed", kStage, "golden requests, one JSON object a line",
                   "line " + std::to_string(line) + ": " + why,
                   "docs/plugin_abi.md, \"Golden requests\", has an example"});
}

bool is_idempotent(const Generation& generation, const std::string& method) {
    return std::ranges::any_of(generation.methods(), [&](const PluginMethod& each) {
        return each.name == method && each.idempotent;
    });
}

void read_world(const json& object, GoldenRequest& out) {
    if (object.contains("caller")) {
        const json& caller = object["caller"];
        model::Principal principal;
        principal.subject = "golden";
        principal.organization_id = caller.at("organization").get<std::string>();
        for (const json& permission : caller.at("permissions"))
            principal.permissions.push_back(permission.get<std::string>());
        out.caller = std::move(principal);
    }
    if (object.contains("job")) {
        const json& job = object["job"];
        out.job_id = job.at("id").get<std::string>();
        out.job.job_type = job.value("job_type", "product_export");
        out.job.status = job.at("status").get<std::string>();
        out.job.organization_id = job.at("organization").get<std::string>();
        out.job.file_url = job.value("file_url", "");
        out.job.filename = job.value("filename", "");
    }
}

GoldenRequest read_request(const json& object, const Generation& generation) {
    GoldenRequest out;
    out.name = object.at("name").get<std::string>();
    out.method = object.at("method").get<std::string>();
    out.params = dump_msgpack(object.value("params", json::object()));
    read_world(object, out);
    const json& expect = object.at("expect");
    out.expected = expect.value("error", "ok");
    out.expected_keys = expect.value("keys", std::vector<std::string>());
    out.repeatable = is_idempotent(generation, out.method);
    return out;
}

}  // namespace

Judged<std::string> read_golden_file(const std::string& named, const std::string& candidate,
                                     const std::string& configured) {
    std::vector<std::string> places;
    if (!named.empty()) {
        places.push_back(named);
    } else {
        for (const std::string& plugin : {candidate, configured}) {
            if (plugin.empty()) continue;
            std::filesystem::path path(plugin);
            places.push_back(path.replace_extension(".golden.jsonl").string());
        }
    }
    for (const std::string& place : places) {
        auto text = read_trusted_file(place, limits::kGoldenFileBytesMax);
        if (text) return std::move(*text);
        if (!named.empty() || text.error().code != ErrorCode::kNotFound)
            return refuse(refusal_of("staging", text.error()));
    }
    return std::string();
}

Judged<std::vector<GoldenRequest>> golden_requests(const Generation& generation,
                                                   std::string_view text) {
    std::vector<GoldenRequest> out;
    for (std::size_t line = 1; !text.empty(); ++line) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view one = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        const auto parsed = parse_json(
            one, {.depth_max = limits::kGoldenDepthMax, .values_max = limits::kGoldenFileBytesMax});
        if (!parsed) return bad_line(line, printable(parsed.error().message, 200));
        try {
            out.push_back(read_request(*parsed, generation));
        } catch (const json::exception& error) {
            return bad_line(line, printable(error.what(), 200));
        }
        const bool known = std::ranges::any_of(generation.methods(), [&](const PluginMethod& each) {
            return each.name == out.back().method;
        });
        if (!known)
            return bad_line(line, "the candidate has no method '" + out.back().method + "'");
    }
    for (const PluginMethod& method : generation.methods()) {
        if (!method.idempotent) continue;
        GoldenRequest anonymous;
        anonymous.name = "anonymous call of " + method.name;
        anonymous.method = method.name;
        anonymous.params = "\x80";  // An empty map.
        anonymous.repeatable = true;
        out.push_back(std::move(anonymous));
    }
    return out;
}

Judged<void> run_golden(Generation& generation, const GoldenRequest& request, PluginCall& call) {
    message::Request wire;
    wire.id = "golden";
    wire.method = request.method;
    wire.params = request.params;
    call.reset();
    call.presented = {};
    call.preset_principal = request.caller ? &*request.caller : nullptr;
    call.golden_job_id = request.job_id;
    call.golden_job = request.job;
    const SteadyTime now = generation.services().parts.clock->steady();
    const auto deadline = (now + std::chrono::seconds(10)).time_since_epoch();
    generation.handle(
        wire, now, std::chrono::duration_cast<std::chrono::nanoseconds>(deadline).count(), 0, call);
    const ResultWriter& writer = call.writer;
    const std::string code =
        writer.has_error ? std::string(message::to_string(writer.error.code)) : "ok";
    const bool fault = writer.has_error && writer.error.code == message::WireCode::kPluginFault;
    if (fault || (!request.expected.empty() && code != request.expected)) {
        return refuse({"probe_failed", kStage,
                       "'" + request.name + "' to answer " +
                           (request.expected.empty() ? "anything but a fault" : request.expected),
                       code + (writer.has_error ? ": " + printable(writer.error.message, 200) : ""),
                       fault ? "the candidate's log lines say what broke the contract"
                             : "mend the plugin, or the golden request if it is wrong"});
    }
    if (writer.has_error || request.expected_keys.empty()) return {};
    const json result = parse_msgpack(writer.result);
    for (const std::string& key : request.expected_keys) {
        if (result.is_object() && result.contains(key)) continue;
        return refuse({"probe_failed", kStage,
                       "'" + request.name + "' to answer with '" + key + "'", "a result without it",
                       "mend the plugin, or the golden request if it is wrong"});
    }
    return {};
}

}  // namespace export_worker::plugins
