// The daemon's own methods: exports.submit, templates.* and jobs.*.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <nlohmann/json_fwd.hpp>

#include <tl/expected.hpp>

#include "daemon/export/export_service.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/model/principal.hpp"
#include "protocol/message/wire_error.hpp"

namespace export_worker::server {

using MethodResult = tl::expected<nlohmann::json, message::WireError>;
// A method that was begun: waits until what it writes is durable. To be called once.
using Unfinished = std::function<MethodResult()>;

struct JobMethodParts {
    jobs::JobStore& jobs;
    exports::ExportService& exports;
};

// One row of the method table. `begin` is called with an authorized principal and decoded
// parameters.
struct JobMethod {
    std::string_view name;
    std::string_view permission;
    bool writes;  // Something is durable when it has ended.
    Unfinished (*begin)(const JobMethodParts& parts, const model::Principal& principal,
                        const nlohmann::json& params);
};

// Nothing to wait for.
[[nodiscard]] Unfinished ended(MethodResult result);

[[nodiscard]] std::span<const JobMethod> job_methods();

}  // namespace export_worker::server
