#include "daemon/plugins/probing/golden.hpp"

#include <algorithm>
#include <filesystem>

#include "base/io.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/limits.hpp"
#include "base/permissions.hpp"
#include "base/text.hpp"
#include "daemon/model/job.hpp"
#include "daemon/plugins/probing/limits.hpp"
#include "protocol/message/wire_error.hpp"

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

Result<model::Principal> read_caller(const json& object) {
    JsonFields caller(object, "caller.");
    model::Principal out;
    out.subject = "golden";
    EW_TRY(out.organization_id, caller.text("organization"));
    EW_TRY(out.permissions, caller.texts("permissions"));
    for (const std::string& permission : out.permissions) {
        if (std::ranges::find(kPermissions, permission) != kPermissions.end()) continue;
        return fail(ErrorCode::kInvalidArgument, "caller.permissions: expected " +
                                                     one_of(kPermissions) + ", found '" +
                                                     printable(permission) + "'");
    }
    EW_CHECK(caller.refuse_unknown());
    return out;
}

Result<void> read_job(const json& object, GoldenRequest& out) {
    JsonFields job(object, "job.");
    EW_TRY(out.job_id, job.text("id"));
    EW_TRY(out.job.job_type, job.text_or("job_type", "product_export"));
    EW_TRY(out.job.status, job.text("status"));
    if (!model::parse_job_status(out.job.status)) {
        return fail(ErrorCode::kInvalidArgument,
                    "job.status: expected a status of docs/wire_protocol.md, found '" +
                        printable(out.job.status) + "'");
    }
    EW_TRY(out.job.organization_id, job.text("organization"));
    EW_TRY(out.job.file_url, job.text_or("file_url", ""));
    EW_TRY(out.job.filename, job.text_or("filename", ""));
    return job.refuse_unknown();
}

Result<void> read_expect(const json* object, GoldenRequest& out) {
    if (object == nullptr)
        return fail(ErrorCode::kInvalidArgument, R"(expect: missing; {} expects a result)");
    JsonFields expect(*object, "expect.");
    EW_TRY(out.expected, expect.text_or("error", "ok"));
    EW_TRY(out.expected_keys, expect.texts("keys"));
    if (out.expected != "ok" && !message::parse_wire_code(out.expected)) {
        return fail(ErrorCode::kInvalidArgument,
                    "expect.error: expected an error code of docs/wire_protocol.md or \"ok\", "
                    "found '" +
                        printable(out.expected) + "'");
    }
    if (out.expected == to_string(message::WireCode::kPluginFault)) {
        return fail(ErrorCode::kInvalidArgument,
                    "expect.error: expected an error that a plugin may answer, found "
                    "'plugin_fault', which is a broken contract");
    }
    if (out.expected != "ok" && !out.expected_keys.empty()) {
        return fail(ErrorCode::kInvalidArgument,
                    "expect: expected keys of a result or an error, found both");
    }
    return expect.refuse_unknown();
}

Result<GoldenRequest> read_request(const json& object) {
    EW_CHECK(check_object(object, "the line"));
    JsonFields fields(object);
    GoldenRequest out;
    EW_TRY(out.name, fields.text("name"));
    EW_TRY(out.method, fields.text("method"));
    EW_TRY(const json* const params, fields.object("params"));
    out.params = dump_msgpack(params == nullptr ? json::object() : *params);
    EW_TRY(const json* const caller, fields.object("caller"));
    if (caller != nullptr) {
        EW_TRY(out.caller, read_caller(*caller));
    }
    EW_TRY(const json* const job, fields.object("job"));
    if (job != nullptr) EW_CHECK(read_job(*job, out));
    EW_TRY(const json* const expect, fields.object("expect"));
    EW_CHECK(read_expect(expect, out));
    EW_CHECK(fields.refuse_unknown());
    return out;
}

std::string names_of(const Generation& generation) {
    std::string out;
    for (const PluginMethod& method : generation.methods())
        out += (out.empty() ? "" : ", ") + method.name;
    return out;
}

}  // namespace

Verdict<std::string> read_golden_file(const std::string& named, const std::string& candidate,
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

Verdict<std::vector<GoldenRequest>> golden_requests(const Generation& generation,
                                                    std::string_view text) {
    std::vector<GoldenRequest> out;
    for (std::size_t line = 1; !text.empty(); ++line) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view one = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (one.find_first_not_of(" \t\r") == std::string_view::npos) continue;
        const auto parsed = parse_json(one, {.depth_max = limits::kGoldenDepthMax,
                                             .values_max = limits::kGoldenFileBytesMax,
                                             .names_unique = true});
        if (!parsed) return bad_line(line, printable(parsed.error().message, 200));
        auto request = read_request(*parsed);
        if (!request) return bad_line(line, printable(request.error().message, 300));
        out.push_back(std::move(*request));
        out.back().repeatable = is_idempotent(generation, out.back().method);
        const bool known = std::ranges::any_of(generation.methods(), [&](const PluginMethod& each) {
            return each.name == out.back().method;
        });
        if (!known) {
            return bad_line(line, "method: expected one of the candidate's (" +
                                      printable(names_of(generation), 300) + "), found '" +
                                      printable(out.back().method) + "'");
        }
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

Verdict<void> run_golden(Generation& generation, const GoldenRequest& request, PluginCall& call) {
    message::Request wire;
    wire.id = "golden";
    wire.method = request.method;
    wire.params = request.params;
    call.reset();
    call.presented = {};
    call.preset_principal = request.caller ? &*request.caller : nullptr;
    call.golden_job_id = request.job_id;
    call.golden_job = request.job;
    const SteadyTime now = generation.services().deps.clock->steady();
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
