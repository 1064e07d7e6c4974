#include "daemon/control/control_methods.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/text.hpp"
#include "daemon/catalog/import_lines.hpp"
#include "daemon/control/backup_methods.hpp"
#include "daemon/control/cluster_methods.hpp"
#include "daemon/control/identity_methods.hpp"
#include "daemon/control/limits.hpp"
#include "daemon/control/maintenance_methods.hpp"
#include "daemon/control/metrics.hpp"
#include "daemon/control/params.hpp"
#include "daemon/control/plugin_file_methods.hpp"
#include "daemon/control/plugin_methods.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;

json stores_json(const ControlDeps& deps) {
    json out = json::array();
    for (const credentials::CredentialState& state : deps.credential_states()) {
        const auto time = [](std::int64_t unix_us) {
            return unix_us == 0 ? json() : json(to_iso8601(unix_us));
        };
        out.push_back({{"name", state.store},
                       {"place", state.place},
                       {"credentials", state.source},
                       {"usable", state.usable},
                       {"expires_at", time(state.expires_unix_us)},
                       {"fetched_at", time(state.fetched_unix_us)},
                       {"error", state.error.empty() ? json() : json(state.error)}});
    }
    return out;
}

json alarms_json(const std::vector<model::Alarm>& alarms) {
    json out = json::array();
    for (const model::Alarm& alarm : alarms) {
        out.push_back({{"name", alarm.name},
                       {"subject", alarm.subject},
                       {"since", to_iso8601(alarm.since_unix_us)},
                       {"cause", alarm.cause},
                       {"remedy", alarm.remedy}});
    }
    return out;
}

Result<json> status(const ControlDeps& deps, const json&) {
    EW_TRY(const auto counts, deps.jobs.reader().counts());
    const model::LedgerCounts ledger = deps.ledger.read();
    return json{{"version", deps.version},
                {"pid", ::getpid()},
                {"started_at", to_iso8601(deps.started_us)},
                {"uptime_seconds", (deps.clock.unix_us() - deps.started_us) / 1'000'000},
                {"data_endpoint", deps.data_endpoint},
                {"draining", deps.data_server.draining()},
                {"requests", ledger_json(ledger)},
                {"stalled_workers", deps.data_server.stalled_workers()},
                {"alarms", alarms_json(deps.alarms.read())},
                {"jobs",
                 {{"pending", counts.pending},
                  {"in_progress", counts.in_progress},
                  {"completed", counts.completed},
                  {"failed", counts.failed},
                  {"cancelled", counts.cancelled},
                  {"oldest_waiting_since",
                   counts.oldest_due_us == 0 ? json() : json(to_iso8601(counts.oldest_due_us))},
                  {"notices_pending", counts.notices_pending},
                  {"writes_fenced", counts.fenced}}},
                {"stores", stores_json(deps)},
                {"plugins", plugins_json(deps)}};
}

Result<std::string> organization_of(const json& params) {
    std::string id = text_of(params, "organization");
    if (!is_organization_id(id))
        return invalid_argument("organization: expected 1 to 64 of A-Z a-z 0-9 . _ -, found '" +
                                printable(id) + "'");
    return id;
}

template <Result<catalog::ImportReport> (*Import)(catalog::CatalogImports&, std::string_view,
                                                  std::string_view, std::int64_t)>
Result<json> import_lines(const ControlDeps& deps, const json& params) {
    EW_TRY(const std::string organization, organization_of(params));
    JsonFields fields(params);
    EW_TRY(const std::string lines, fields.text("lines"));
    EW_TRY(const std::int64_t first_line, fields.integer("first_line", {0, INT64_MAX}));
    EW_TRY(const auto report, Import(deps.catalog.imports(), organization, lines, first_line));
    json errors = json::array();
    for (const auto& error : report.errors)
        errors.push_back({{"line", error.line}, {"message", error.message}});
    return json{{"imported", report.imported},
                {"rejected", report.rejected},
                {"errors", std::move(errors)}};
}

template <typename T>
json number_or_null(const std::optional<T>& number) {
    return number ? json(*number) : json();
}

json organization_json(const jobs::OrganizationState& state) {
    const auto& policy = state.policy;
    return {{"organization", policy.organization_id},
            {"running", state.running},
            {"pending", state.pending},
            {"running_max", number_or_null(policy.running_max)},
            {"weight", policy.weight},
            {"held", policy.held},
            {"unfinished", state.unfinished},
            {"unfinished_max", number_or_null(policy.unfinished_max)},
            {"stored_bytes", state.stored_bytes},
            {"stored_bytes_max", number_or_null(policy.stored_bytes_max)},
            {"requests_per_second_max", number_or_null(policy.requests_per_second_max)}};
}

Result<json> organization_list(const ControlDeps& deps, const json& params) {
    EW_TRY(const auto rows_max, rows_max_of(params));
    EW_TRY(auto page, deps.jobs.organizations().organizations(text_of(params, "after")));
    if (page.items.size() > rows_max) {
        page.items.resize(rows_max);
        page.more = true;
    }
    json items = json::array();
    for (const auto& state : page.items) items.push_back(organization_json(state));
    return json{{"items", std::move(items)},
                {"next", page.more ? json(page.items.back().policy.organization_id) : json()}};
}

Result<json> organization_show(const ControlDeps& deps, const json& params) {
    EW_TRY(const std::string id, organization_of(params));
    EW_TRY(const auto state, deps.jobs.organizations().organization(id));
    return organization_json(state);
}

// Absent: `target` stays as it is; null: none.
template <typename T>
Result<void> read_optional(const json& params, const char* name, std::int64_t max,
                           std::optional<T>& target) {
    const auto found = params.find(name);
    if (found == params.end()) return {};
    target.reset();
    if (found->is_null()) return {};
    EW_TRY(const std::int64_t number, integer_from(*found, name, {1, max}));
    target = static_cast<T>(number);
    return {};
}

// Absent fields stay as they are; running_max null is the configuration's again.
Result<void> read_organization(const json& params, jobs::OrganizationPolicy& policy) {
    EW_CHECK(
        read_optional(params, "running_max", limits::kOrganizationRunningMax, policy.running_max));
    EW_CHECK(read_optional(params, "unfinished_max", limits::kOrganizationUnfinishedMax,
                           policy.unfinished_max));
    EW_CHECK(read_optional(params, "stored_bytes_max", limits::kOrganizationStoredBytesMax,
                           policy.stored_bytes_max));
    EW_CHECK(read_optional(params, "requests_per_second_max",
                           limits::kOrganizationRequestsPerSecondMax,
                           policy.requests_per_second_max));
    JsonFields fields(params, "", JsonFields::Null::kRefused);
    EW_TRY(const auto weight,
           fields.optional_integer("weight", {1, limits::kOrganizationWeightMax}));
    if (weight) policy.weight = static_cast<int>(*weight);
    EW_TRY(policy.held, fields.boolean_or("held", policy.held));
    return {};
}

Result<json> organization_set(const ControlDeps& deps, const json& params) {
    EW_TRY(const std::string id, organization_of(params));
    EW_TRY(auto state, deps.jobs.organizations().organization(id));
    EW_CHECK(read_organization(params, state.policy));
    EW_CHECK(deps.jobs.organizations().set_organization(state.policy));
    deps.wake_workers();
    return organization_json(state);
}

Result<json> metrics_text(const ControlDeps& deps, const json&) {
    EW_TRY(const auto page, metrics_page(deps));
    return json{{"text", page.text()}};
}

Result<json> drain(const ControlDeps& deps, const json&) {
    deps.data_server.drain();
    return json{{"draining", true}};
}

constexpr std::array<ControlRow, 8> kMethods{
    {{"control.status", status},
     {"control.catalog_import", import_lines<catalog::import_products>},
     {"control.price_import", import_lines<catalog::import_prices>},
     {"control.organization_list", organization_list},
     {"control.organization_show", organization_show},
     {"control.organization_set", organization_set},
     {"control.metrics", metrics_text},
     {"control.drain", drain}}};

}  // namespace

ControlMethod find_in(std::span<const ControlRow> rows, std::string_view method) {
    const auto found = std::ranges::find(rows, method, &ControlRow::name);
    return found == rows.end() ? nullptr : found->run;
}

ControlMethod find_control_method(std::string_view method) {
    if (const ControlMethod own = find_in(kMethods, method)) return own;
    if (const ControlMethod identity = find_identity_method(method)) return identity;
    if (const ControlMethod backup = find_backup_method(method)) return backup;
    if (const ControlMethod file = find_plugin_file_method(method)) return file;
    if (const ControlMethod care = find_maintenance_method(method)) return care;
    if (const ControlMethod cluster = find_cluster_method(method)) return cluster;
    return find_plugin_method(method);
}

}  // namespace export_worker::control
