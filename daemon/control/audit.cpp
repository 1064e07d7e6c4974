#include "daemon/control/audit.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/json.hpp"
#include "base/log.hpp"
#include "base/redact.hpp"
#include "base/text.hpp"
#include "daemon/control/limits.hpp"
#include "daemon/control/params.hpp"
#include "protocol/message/reply.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 26> kReads{"control.status",
                                                  "control.metrics",
                                                  "control.task",
                                                  "control.plugin_file_owner",
                                                  "control.plugin_file_append",
                                                  "control.backup_manifest",
                                                  "control.backup_read",
                                                  "control.backup_end",
                                                  "control.key_list",
                                                  "control.member_list",
                                                  "control.session_list",
                                                  "control.plugin_list",
                                                  "control.plugin_report",
                                                  "control.plugin_history",
                                                  "control.plugin_quarantine_list",
                                                  "control.organization_list",
                                                  "control.organization_show",
                                                  "jobs.get",
                                                  "jobs.status",
                                                  "jobs.list",
                                                  "jobs.events",
                                                  "jobs.notices",
                                                  "templates.get",
                                                  "templates.list",
                                                  "sys.ping",
                                                  "sys.methods"};
// Their replies come before the work is done.
constexpr std::array<std::string_view, 9> kBeginWork{"control.fsck",
                                                     "control.compact",
                                                     "control.prune",
                                                     "control.backup_begin",
                                                     "control.plugin_load",
                                                     "control.plugin_reload",
                                                     "control.plugin_rollback",
                                                     "control.plugin_commit",
                                                     "control.plugin_unpin"};
// What a request is about: the first of these that it has.
constexpr std::array<const char*, 8> kTargets{"id",     "subject", "plugin",    "file",
                                              "job_id", "name",    "directory", "sha256"};
// What else of it is written, as JSON.
constexpr std::array kDetails{
    "permissions", "roles", "active", "expires_in_seconds", "overlap_seconds", "running_max",
    "unfinished_max", "stored_bytes_max", "requests_per_second_max", "weight", "held", "dry_run",
    "no_bake", "allow", "to", "apply", "no_hashes", "pause_max_s", "file", "lift_quarantine",
    "first_line",
    // The parameters of jobs and exports.
    "job_type", "format", "profile", "compression", "variants", "formulas", "template",
    "product_keys", "columns", "filter", "filename", "priority", "start_at", "deadline_s",
    "max_attempts", "total_items", "triggered_by"};

constexpr std::string_view kHidden = "(hidden)";

// An operator may paste a key, a token or a download URL where an id belongs.
std::string without_secrets(const std::string& text) {
    if (holds_credential(text)) return std::string(kHidden);
    return std::string(utf8_prefix(text, limits::kAuditTextBytesMax));
}

std::string target_of(const json& params) {
    for (const char* name : kTargets) {
        std::string text = text_of(params, name);
        if (text.empty()) continue;
        // Longer than any id: perhaps a token from before they had a prefix.
        if (name == std::string_view("id") && text.size() > limits::kAuditIdBytesMax)
            return std::string(kHidden);
        return without_secrets(text);
    }
    return {};
}

// A long value leaves room for the others.
json short_value(const json& value) {
    const std::size_t bytes = dump_json(value).size();
    if (bytes <= limits::kAuditValueBytesMax || holds_credential(dump_json(value))) return value;
    return "(" + std::to_string(bytes) + " bytes)";
}

std::string detail_of(const json& params) {
    json out = json::object();
    for (const char* name : kDetails) {
        if (const auto found = params.find(name); found != params.end())
            out[name] = short_value(*found);
    }
    return out.empty() ? std::string() : without_secrets(dump_json(out));
}

// The id of what was made: a key's, a session's, a job's, a report's.
std::string made_id(const json& result) {
    if (!result.is_object()) return {};
    for (const char* name : {"id", "job_id"}) {
        if (std::string text = text_of(result, name); !text.empty()) return text;
    }
    const auto report = result.find("report");
    return report != result.end() && report->is_number() ? dump_json(*report) : std::string();
}

std::string_view outcome_of(const Audited& audited, const Result<message::Reply>& reply) {
    if (!audited.work_outcome.empty()) return audited.work_outcome;
    if (!reply) return "internal";
    if (!reply->ok) return message::to_string(reply->error.code);
    return audited.request != nullptr && begins_work(*audited.request, audited.reply) ? "started"
                                                                                      : "ok";
}

// "until_restart": refused, because it could not be written, and in force all the same.
std::string_view in_force(const Result<message::Reply>& reply) {
    return reply && !reply->ok && reply->error.code != message::WireCode::kTooLarge &&
                   reply->error.executed == message::Executed::kYes
               ? "until_restart"
               : "";
}

std::string organization_of(const Audited& audited, const json& params, const json& result) {
    if (std::string named = text_of(params, "organization"); !named.empty()) return named;
    if (audited.request != nullptr && !audited.request->credentials.organization_id.empty())
        return std::string(audited.request->credentials.organization_id);
    return result.is_object() ? text_of(result, "organization") : std::string();
}

// Those change nothing, or go on with what another line has begun; a method that is in no list is
// written at info. Of an import in many requests, the first stands for all.
LogLevel level_of(std::string_view method, const json& params) {
    const auto first_line = params.find("first_line");
    const bool goes_on =
        first_line != params.end() && first_line->is_number_integer() && *first_line > 1;
    return goes_on || std::ranges::find(kReads, method) != kReads.end() ? LogLevel::kDebug
                                                                        : LogLevel::kInfo;
}

}  // namespace

bool begins_work(const message::Request& request, std::string_view reply) {
    if (std::ranges::find(kBeginWork, request.method) == kBeginWork.end()) return false;
    const auto decoded = message::decode_reply(reply);
    return decoded && decoded->ok;
}

void write_audit_line(const Audited& audited, const json& params) {
    const std::string method(audited.request == nullptr ? "" : audited.request->method);
    const LogLevel level = level_of(method, params);
    if (!logs(level)) return;
    const auto reply = message::decode_reply(audited.reply);
    const json result = reply && reply->ok ? parse_msgpack(reply->result) : json::object();
    const std::string target = target_of(params);
    std::string made = made_id(result);
    if (made == target) made.clear();
    const std::string detail = detail_of(params);
    log_event(level, "audit",
              {{"method", method},
               {"outcome", outcome_of(audited, reply)},
               {"in_force", in_force(reply)},
               {"target", target},
               {"made", made},
               {"organization", without_secrets(organization_of(audited, params, result))},
               {"detail", detail},
               {"uid", audited.peer.uid},
               {"pid", audited.peer.pid},
               {"duration_us",
                std::chrono::duration_cast<std::chrono::microseconds>(audited.taken).count()}});
}

}  // namespace export_worker::control
