#include "daemon/jobs/job_entry_json.hpp"

#include "base/json.hpp"

namespace export_worker::jobs {

using model::JobEntry;
using nlohmann::json;

std::string entry_to_json(const JobEntry& entry) {
    json out = {{"entity_key", entry.entity_key},
                {"entity_type", entry.entity_type},
                {"error_type", entry.error_type},
                {"message", entry.message},
                {"step", entry.step},
                {"at_us", entry.at_us}};
    if (!entry.details_json.empty()) out["details"] = parse_json(entry.details_json);
    return dump_json(out);
}

JobEntry entry_from_json(std::string_view text) {
    const json in = parse_json(text);
    JobEntry entry;
    if (!in.is_object()) return entry;
    entry.entity_key = in.value("entity_key", "");
    entry.entity_type = in.value("entity_type", "job");
    entry.error_type = in.value("error_type", "");
    entry.message = in.value("message", "");
    entry.step = in.value("step", "");
    entry.at_us = in.value("at_us", std::int64_t{0});
    if (in.contains("details")) entry.details_json = dump_json(in["details"]);
    return entry;
}

}  // namespace export_worker::jobs
