#include "daemon/control/cluster_methods.hpp"

#include <array>

#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/text.hpp"
#include "daemon/control/params.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;

Result<cluster::Membership*> membership_of(const ControlDeps& deps) {
    if (deps.cluster) return deps.cluster;
    return fail(ErrorCode::kFailedPrecondition,
                "this daemon is alone: its databases are files of its state_dir ([database] kind = "
                "sqlite)");
}

double as_seconds(std::chrono::microseconds length) {
    return std::chrono::duration<double>(length).count();
}

json instance_json(const cluster::Instance& instance, const std::string& own_id) {
    return {{"instance", instance.id},
            {"name", instance.name},
            {"version", instance.version},
            {"started_at", to_iso8601(instance.started_us)},
            {"lease_left_seconds", as_seconds(instance.lease_left)},
            {"leads", instance.leads},
            {"is_asked", instance.id == own_id},
            {"clock_offset_seconds",
             instance.clock_offset ? json(as_seconds(*instance.clock_offset)) : json()},
            {"file_hashes", instance.file_hashes}};
}

Result<json> cluster_status(const ControlDeps& deps, const json&) {
    EW_TRY(cluster::Membership* const membership, membership_of(deps));
    EW_TRY(const auto instances, membership->members());
    json items = json::array();
    for (const cluster::Instance& instance : instances)
        items.push_back(instance_json(instance, membership->id()));
    return json{{"items", std::move(items)},
                {"differing_files", cluster::names_of_differing_files(instances)}};
}

Result<json> cluster_evict(const ControlDeps& deps, const json& params) {
    EW_TRY(cluster::Membership* const membership, membership_of(deps));
    EW_TRY(const std::string instance, JsonFields(params).text("instance"));
    EW_CHECK(membership->evict(instance));
    return json{{"instance", instance}};
}

constexpr std::array<ControlRow, 2> kMethods{
    {{"control.cluster_evict", cluster_evict}, {"control.cluster_status", cluster_status}}};

}  // namespace

ControlMethod find_cluster_method(std::string_view method) {
    return find_in(kMethods, method);
}

}  // namespace export_worker::control
