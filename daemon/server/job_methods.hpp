// The daemon's methods that need a permission: exports.submit, templates.* and jobs.*.
#pragma once

#include <functional>
#include <string_view>
#include <nlohmann/json_fwd.hpp>

#include <tl/expected.hpp>

#include "daemon/export/export_service.hpp"
#include "daemon/jobs/job_reader.hpp"
#include "daemon/jobs/job_requests.hpp"
#include "daemon/model/principal.hpp"
#include "protocol/message/methods.hpp"
#include "protocol/message/wire_error.hpp"

namespace export_worker::server {

using MethodResult = tl::expected<nlohmann::json, message::WireError>;
// A method that was begun: waits until what it writes is durable. To be called once.
using Unfinished = std::function<MethodResult()>;

struct JobMethodDeps {
    jobs::JobReader& reader;
    jobs::JobRequests& requests;
    exports::ExportService& exports;
};

// Begins a method for a principal that has its permission, with decoded parameters: a map. A job
// that it makes keeps the `trace_id` of the request (32 hex digits; empty: it has none).
using BeginMethod = Unfinished (*)(const JobMethodDeps& deps, const model::Principal& principal,
                                   const nlohmann::json& params, std::string_view trace_id);

// Nothing to wait for.
[[nodiscard]] Unfinished ended(MethodResult result);

// nullptr for the methods that need no permission, and for those of plugins.
[[nodiscard]] BeginMethod begin_of(message::MethodId id);

}  // namespace export_worker::server
