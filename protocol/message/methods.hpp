// The methods of the data socket, one row each: the daemon runs them and the shim routes to them by
// this table. Names and permissions are public (docs/wire_protocol.md): append-only.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/permissions.hpp"

namespace export_worker::message {

enum class MethodId : std::uint8_t {
    kGetDownloadUrl,
    kExplainDownloadUrl,
    kPing,
    kListMethods,
    kReportDownload,
    kSubmitExport,
    kPutTemplate,
    kGetTemplate,
    kListTemplates,
    kDropTemplate,
    kCreateJob,
    kReportProgress,
    kGetJob,
    kGetJobStatus,
    kListJobs,
    kCancelJob,
    kRetryJob,
    kHoldJob,
    kReleaseJob,
    kListJobEvents,
    kListNotices,
};

enum class Provider : std::uint8_t { kDaemon, kPlugin };

// A parameter that an HTTP query may carry.
struct QueryField {
    std::string_view name;
    bool is_number = false;  // Whole, at least 0; otherwise text.
};

struct WireMethod {
    MethodId id;
    std::string_view name;
    std::string_view permission = {};  // Empty: needs no credentials.
    Provider provider = Provider::kDaemon;
    bool durable = false;                // Returns only once what it changed is on disk.
    bool lists = false;                  // Reads many rows: bounded for each organization.
    bool takes_idempotency_key = false;  // Sent twice with one key, it runs once.
    std::span<const QueryField> query = {};
};

inline constexpr std::array<QueryField, 5> kJobFilterQuery{
    {{"status"}, {"job_type"}, {"limit", true}, {"offset", true}, {"after"}}};
inline constexpr std::array<QueryField, 1> kAfterQuery{{{"after", true}}};

// In the order of MethodId.
inline constexpr auto kMethods = [] {
    using enum MethodId;
    return std::to_array<WireMethod>({
        {.id = kGetDownloadUrl,
         .name = "download_url.get",
         .permission = "product:read",
         .provider = Provider::kPlugin},
        {.id = kExplainDownloadUrl,
         .name = "download_url.explain",
         .permission = "link:explain",
         .provider = Provider::kPlugin},
        {.id = kPing, .name = "sys.ping"},
        {.id = kListMethods, .name = "sys.methods"},
        // The link in its parameters is the proof.
        {.id = kReportDownload, .name = "downloads.report"},
        {.id = kSubmitExport,
         .name = "exports.submit",
         .permission = "product:read",
         .durable = true,
         .takes_idempotency_key = true},
        {.id = kPutTemplate,
         .name = "templates.put",
         .permission = "template:write",
         .durable = true},
        {.id = kGetTemplate, .name = "templates.get", .permission = "product:read"},
        {.id = kListTemplates,
         .name = "templates.list",
         .permission = "product:read",
         .lists = true},
        {.id = kDropTemplate,
         .name = "templates.drop",
         .permission = "template:write",
         .durable = true},
        {.id = kCreateJob,
         .name = "jobs.create",
         .permission = "job:create",
         .durable = true,
         .takes_idempotency_key = true},
        {.id = kReportProgress,
         .name = "jobs.report_progress",
         .permission = "job:create",
         .durable = true},
        {.id = kGetJob, .name = "jobs.get", .permission = "job:read"},
        {.id = kGetJobStatus, .name = "jobs.status", .permission = "job:read"},
        {.id = kListJobs,
         .name = "jobs.list",
         .permission = "job:read",
         .lists = true,
         .query = kJobFilterQuery},
        {.id = kCancelJob, .name = "jobs.cancel", .permission = "job:create", .durable = true},
        {.id = kRetryJob, .name = "jobs.retry", .permission = "job:create", .durable = true},
        {.id = kHoldJob, .name = "jobs.hold", .permission = "job:create", .durable = true},
        {.id = kReleaseJob, .name = "jobs.release", .permission = "job:create", .durable = true},
        {.id = kListJobEvents,
         .name = "jobs.events",
         .permission = "job:read",
         .lists = true,
         .query = kAfterQuery},
        {.id = kListNotices,
         .name = "jobs.notices",
         .permission = "job:read",
         .lists = true,
         .query = kAfterQuery},
    });
}();

// The row of a method that exists: a misspelt one does not compile.
[[nodiscard]] constexpr const WireMethod& method_row(MethodId id) {
    return kMethods[static_cast<std::size_t>(id)];
}

// nullptr: the table has no such method; a plugin may.
[[nodiscard]] constexpr const WireMethod* find_method(std::string_view name) {
    const auto* const found = std::ranges::find(kMethods, name, &WireMethod::name);
    return found == kMethods.end() ? nullptr : found;
}

static_assert(std::ranges::all_of(kMethods, [](const WireMethod& row) {
    return &method_row(row.id) == &row && find_method(row.name) == &row &&
           (row.permission.empty() ||
            std::ranges::find(kPermissions, row.permission) != kPermissions.end());
}));

}  // namespace export_worker::message
