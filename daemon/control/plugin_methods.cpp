#include "daemon/control/plugin_methods.hpp"

#include <unistd.h>

#include <array>

#include "base/io.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "daemon/control/params.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"
#include "daemon/plugins/lifecycle/quarantine.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;
using plugins::Action;

json generation_json(const plugins::GenerationStatus& generation) {
    json holders = json::array();
    for (const plugins::Holder& holder : generation.holders) {
        holders.push_back(
            {{"who", holder.who},
             {"request_id", holder.request_id},
             {"running_ms",
              std::chrono::duration_cast<std::chrono::milliseconds>(holder.running).count()}});
    }
    return {{"generation", generation.number},
            {"state", generation.state},
            {"version", generation.version},
            {"build_id", generation.build_id},
            {"sha256", generation.sha256},
            {"file", generation.file},
            {"handled", generation.handled},
            {"faults", generation.faults},
            {"p50_us", generation.p50.count()},
            {"p99_us", generation.p99.count()},
            {"pinned_by", generation.pinned_by},
            {"shadow",
             {{"compared", generation.shadow.compared},
              {"different", generation.shadow.different},
              {"members", generation.shadow.members}}},
            {"holders", std::move(holders)},
            {"in_state_ms", generation.in_state.count()}};
}

json plugin_json(const plugins::PluginStatus& plugin) {
    json methods = json::array();
    for (const auto& method : plugin.methods) {
        methods.push_back({{"name", method.name},
                           {"summary", method.summary},
                           {"idempotent", method.idempotent}});
    }
    json counters = json::object();
    for (const auto& counter : plugin.counters) counters[counter.name] = counter.value;
    json generations = json::array();
    for (const auto& generation : plugin.generations)
        generations.push_back(generation_json(generation));
    return {{"name", plugin.name},
            {"version", plugin.version},
            {"generation", plugin.generation},
            {"build_id", plugin.build_id},
            {"sha256", plugin.sha256},
            {"committed_sha256", plugin.committed_sha256},
            {"pinned", plugin.pinned.empty() ? json() : json(plugin.pinned)},
            {"bake_left_ms", plugin.bake_left ? json(plugin.bake_left->count()) : json()},
            {"bake_requests_left", plugin.bake_requests_left},
            {"file", plugin.file},
            {"methods", std::move(methods)},
            {"handled", plugin.handled},
            {"faults", plugin.faults},
            {"counters", std::move(counters)},
            {"unmapped", plugin.unmapped},
            {"generations", std::move(generations)}};
}

json refusal_json(const plugins::Refusal& refusal) {
    return {{"code", refusal.code},         {"stage", refusal.stage},
            {"expected", refusal.expected}, {"found", refusal.found},
            {"hint", refusal.hint},         {"text", plugins::to_text(refusal)}};
}

json window_json(const plugins::SwapWindow& window) {
    return {{"closed", window.closed},
            {"took_us", window.took.count()},
            {"stuck", window.stuck},
            // CLOCK_MONOTONIC, for whoever measures on the same machine.
            {"opened_monotonic_ns", window.opened.time_since_epoch().count()},
            {"before", ledger_json(window.before)},
            {"after", window.closed ? ledger_json(window.after) : json()}};
}

json report_json(const plugins::ReloadReport& report) {
    json steps = json::array();
    for (const auto& step : report.steps) {
        steps.push_back({{"name", step.name}, {"detail", step.detail}, {"took_us", step.took_us}});
    }
    const auto text_or_null = [](const std::optional<std::string>& text) {
        return text ? json(*text) : json();
    };
    return {{"id", report.id},
            {"outcome", report.outcome},
            {"trigger", report.request.trigger},
            {"dry_run", report.request.dry_run},
            {"started_at", to_iso8601(report.started_us)},
            {"plugin", report.plugin},
            {"file", report.file},
            {"sha256", report.sha256},
            {"version", report.version},
            {"build_id", report.build_id},
            {"generation", report.generation},
            {"from_generation", report.from_generation},
            {"from_sha256", report.from_sha256},
            {"from_version", report.from_version},
            {"steps", std::move(steps)},
            {"refusal", report.refusal ? refusal_json(*report.refusal) : json()},
            {"rolled_back_because", text_or_null(report.rolled_back_because)},
            {"pinned_by", report.pinned_by},
            {"contract",
             {{"added", report.contract.added},
              {"removed", report.contract.removed},
              {"narrowed", report.contract.narrowed}}},
            {"window", report.window ? window_json(*report.window) : json()}};
}

Result<json> submit(const ControlDeps& deps, const plugins::ReloadRequest& request) {
    const auto id = deps.plugins.submit(request);
    if (id) return json{{"report", *id}};
    if (!request.sent_path.empty()) (void)::unlink(request.sent_path.c_str());
    return fail(id.error());
}

Result<std::string> take_text(const ControlDeps& deps, const std::string& id) {
    EW_TRY(const std::string path, deps.sent_files.take(id));
    auto text = read_file(path, limits::kGoldenFileBytesMax);
    (void)::unlink(path.c_str());
    return text;
}

// The bytes that were sent are the file; its path, which is that of the operator, says where they
// came from.
Result<void> take_sent(const ControlDeps& deps, const json& params,
                       plugins::ReloadRequest& request) {
    if (!request.file.starts_with('/'))
        return invalid_argument("file: expected an absolute path, found '" +
                                printable(request.file) + "'");
    const std::string sent = text_of(params, "sent");
    if (sent.empty())
        return invalid_argument(
            "sent: expected the id of a file that was sent (control.plugin_file_begin), found "
            "none; use the exportctl of this version");
    if (const std::string golden = text_of(params, "sent_golden"); !golden.empty()) {
        EW_TRY(request.sent_golden, take_text(deps, golden));
    }
    EW_TRY(request.sent_path, deps.sent_files.take(sent));
    return {};
}

// The parameters every action shares.
plugins::ReloadRequest request_of(Action action, const json& params) {
    plugins::ReloadRequest out;
    out.action = action;
    out.plugin = text_of(params, "plugin");
    out.file = text_of(params, "file");
    out.to_sha256 = text_of(params, "to");
    out.dry_run = flag_of(params, "dry_run");
    out.bake = !flag_of(params, "no_bake");
    out.lift_quarantine = flag_of(params, "lift_quarantine");
    const auto allow = params.find("allow");
    if (allow == params.end()) return out;
    for (const json& method : *allow) {
        if (method.is_string()) out.allowed_contract_changes.insert(method.get<std::string>());
    }
    return out;
}

Result<json> plugin_load(const ControlDeps& deps, const json& params) {
    auto request = request_of(Action::kLoad, params);
    EW_CHECK(take_sent(deps, params, request));
    return submit(deps, request);
}

Result<json> plugin_reload(const ControlDeps& deps, const json& params) {
    auto request = request_of(Action::kReload, params);
    if (!request.file.empty()) EW_CHECK(take_sent(deps, params, request));
    return submit(deps, request);
}

Result<json> plugin_rollback(const ControlDeps& deps, const json& params) {
    if (params.contains("to") && text_of(params, "to").empty())
        return invalid_argument("to: expected the first digits of a committed SHA-256, found none");
    return submit(deps, request_of(Action::kRollback, params));
}

Result<json> plugin_commit(const ControlDeps& deps, const json& params) {
    return submit(deps, request_of(Action::kCommit, params));
}

Result<json> plugin_unpin(const ControlDeps& deps, const json& params) {
    return submit(deps, request_of(Action::kUnpin, params));
}

Result<json> plugin_list(const ControlDeps& deps, const json&) {
    return json{{"items", plugins_json(deps)}};
}

Result<json> plugin_report(const ControlDeps& deps, const json& params) {
    const auto id = params.find("report");
    if (id == params.end() || !id->is_number_unsigned())
        return unexpected_value("report", "the number a reload has answered with",
                                id == params.end() ? json() : *id);
    const auto report = deps.plugins.report(id->get<std::uint64_t>());
    if (!report) {
        return fail(ErrorCode::kNotFound,
                    "no such report any more; control.plugin_history keeps the outcome");
    }
    return report_json(*report);
}

// The newest kPluginHistoryMax: what fits into an answer.
Result<json> quarantined_items(const ControlDeps& deps) {
    EW_TRY(auto files, deps.plugins.history().all_quarantined());
    if (files.size() > limits::kPluginHistoryMax) files.resize(limits::kPluginHistoryMax);
    json items = json::array();
    for (const auto& file : files) items.push_back(quarantined_json(file));
    return items;
}

Result<json> plugin_history(const ControlDeps& deps, const json& params) {
    const std::string plugin = text_of(params, "plugin");
    EW_TRY(const auto entries, deps.plugins.history().entries(plugin, limits::kPluginHistoryMax));
    if (!plugin.empty() && entries.empty() && !deps.plugins.knows(plugin)) {
        return fail(ErrorCode::kNotFound,
                    "no plugin '" + printable(plugin) + "'; exportctl plugin list names them");
    }
    EW_TRY(json quarantined, quarantined_items(deps));
    json items = json::array();
    for (const auto& entry : entries) {
        items.push_back({{"at", to_iso8601(entry.at_us)},
                         {"plugin", entry.plugin},
                         {"trigger", entry.trigger},
                         {"file", entry.file},
                         {"sha256", entry.sha256},
                         {"version", entry.version},
                         {"generation", entry.generation},
                         {"outcome", entry.outcome},
                         {"code", entry.code},
                         {"detail", entry.detail}});
    }
    return json{{"items", std::move(items)}, {"quarantined", std::move(quarantined)}};
}

Result<json> plugin_quarantine_list(const ControlDeps& deps, const json&) {
    EW_TRY(json items, quarantined_items(deps));
    return json{{"items", std::move(items)}};
}

Result<json> plugin_quarantine_lift(const ControlDeps& deps, const json& params) {
    EW_TRY(const plugins::Quarantined file,
           plugins::lift_quarantine(deps.plugins.history(), text_of(params, "sha256"), "online"));
    return quarantined_json(file);
}

constexpr std::array<ControlRow, 10> kMethods{
    {{"control.plugin_list", plugin_list},
     {"control.plugin_load", plugin_load},
     {"control.plugin_reload", plugin_reload},
     {"control.plugin_rollback", plugin_rollback},
     {"control.plugin_commit", plugin_commit},
     {"control.plugin_unpin", plugin_unpin},
     {"control.plugin_report", plugin_report},
     {"control.plugin_history", plugin_history},
     {"control.plugin_quarantine_list", plugin_quarantine_list},
     {"control.plugin_quarantine_lift", plugin_quarantine_lift}}};

}  // namespace

ControlMethod find_plugin_method(std::string_view method) {
    return find_in(kMethods, method);
}

json plugins_json(const ControlDeps& deps) {
    json out = json::array();
    for (const auto& plugin : deps.plugins.list()) out.push_back(plugin_json(plugin));
    return out;
}

json quarantined_json(const plugins::Quarantined& file) {
    return {{"sha256", file.sha256},
            {"plugin", file.plugin},
            {"version", file.version},
            {"at", to_iso8601(file.at_us)},
            {"reason", file.reason}};
}

json ledger_json(const model::LedgerCounts& counts) {
    return {{"in_flight", counts.in_flight},     {"accepted", counts.accepted},
            {"replied", counts.replied},         {"error_replied", counts.error_replied},
            {"client_gone", counts.client_gone}, {"dropped", counts.dropped},
            {"overloaded", counts.overloaded},   {"expired", counts.expired},
            {"balanced", counts.balanced()}};
}

}  // namespace export_worker::control
