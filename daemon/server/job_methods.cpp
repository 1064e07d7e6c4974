#include "daemon/server/job_methods.hpp"

#include <algorithm>
#include <optional>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/server/job_json.hpp"
#include "daemon/server/limits.hpp"
#include "protocol/message/job_id.hpp"

namespace export_worker::server {
namespace {

using model::Job;
using model::OrganizationScope;
using model::Principal;
using nlohmann::json;

tl::unexpected<message::WireError> wire_error(const Error& error) {
    if (error.code == ErrorCode::kInternal || error.code == ErrorCode::kDataLoss ||
        error.code == ErrorCode::kResourceExhausted ||
        error.code == ErrorCode::kFailedPrecondition) {
        log_error("method: {}", error.message);  // The caller is told less.
    }
    if (error.code != ErrorCode::kDeadlineExceeded)
        return tl::unexpected(message::from_error(error));
    // A read that was stopped has done nothing: it can be asked for again.
    message::WireError out = message::make_error(message::WireCode::kOverloaded, error.message);
    out.retry_after_ms = limits::kReadStoppedRetryMs;
    return tl::unexpected(std::move(out));
}

OrganizationScope scope_of(const Principal& principal) {
    const bool every = principal.is_operator && principal.organization_id.empty();
    return every ? OrganizationScope::every() : OrganizationScope::one(principal.organization_id);
}

Result<std::string> job_id_of(const json& params) {
    EW_TRY(std::string id, JsonFields(params).text("job_id"));
    EW_CHECK(message::check_job_id(id));
    return id;
}

// An organization to act for: an operator must name one where something is created.
Result<std::string> organization_of(const Principal& principal) {
    if (!is_organization_id(principal.organization_id)) {
        return fail(ErrorCode::kInvalidArgument,
                    "organization: expected 1 to 64 of A-Z a-z 0-9 . _ -, found '" +
                        printable(principal.organization_id) + "'");
    }
    return principal.organization_id;
}

using Method = MethodResult(const JobMethodDeps& deps, const Principal& principal,
                            const json& params);
// A method that has ended when it returns.
template <Method* Run>
Unfinished at_once(const JobMethodDeps& deps, const Principal& principal, const json& params,
                   std::string_view /*trace_id*/) {
    return ended(Run(deps, principal, params));
}

MethodResult show_accepted(const exports::ExportService::Accepted& accepted) {
    const std::string message =
        accepted.existed
            ? "This request was accepted before"
            : "Export queued for " + std::string(accepted.job.total_is_estimate ? "at most " : "") +
                  std::to_string(accepted.total) + " products";
    return json{{"job_id", accepted.job.job_id}, {"message", message}, {"total", accepted.total}};
}

MethodResult show_created(const jobs::CreatedJob& created) {
    return to_json(created.job);
}

MethodResult show_job(const Job& job) {
    return to_json(job);
}

// Waits for `begun`, then shows what came of it.
template <typename T>
Unfinished then(Result<jobs::Pending<T>> begun, MethodResult (*show)(const T&)) {
    if (!begun) return ended(wire_error(begun.error()));
    return [wait = std::move(*begun), show]() -> MethodResult {
        const Result<T> done = wait();
        if (!done) return wire_error(done.error());
        return show(*done);
    };
}

Unfinished submit_export(const JobMethodDeps& deps, const Principal& principal, const json& params,
                         std::string_view trace_id) {
    const auto organization = organization_of(principal);
    if (!organization) return ended(wire_error(organization.error()));
    return then(deps.exports.begin_submit(*organization, params, {principal.subject, trace_id}),
                show_accepted);
}

Unfinished create_job(const JobMethodDeps& deps, const Principal& principal, const json& params,
                      std::string_view trace_id) {
    const auto organization = organization_of(principal);
    if (!organization) return ended(wire_error(organization.error()));
    auto job = parse_new_job(params);
    if (!job) return ended(wire_error(job.error()));
    job->organization_id = *organization;
    job->submitted_by = principal.subject;
    job->trace_id = trace_id;
    return then(deps.requests.begin_create(std::move(*job)), show_created);
}

Unfinished report_progress(const JobMethodDeps& deps, const Principal& principal,
                           const json& params, std::string_view /*trace_id*/) {
    auto job_id = job_id_of(params);
    if (!job_id) return ended(wire_error(job_id.error()));
    json body = params;
    body.erase("job_id");
    auto report = parse_report(body);
    if (!report) return ended(wire_error(report.error()));
    return then(deps.requests.begin_report(scope_of(principal), std::move(*job_id),
                                           std::move(*report), principal.subject),
                show_job);
}

template <json (*Show)(const Job&)>
MethodResult get_job(const JobMethodDeps& deps, const Principal& principal, const json& params) {
    const auto job_id = job_id_of(params);
    if (!job_id) return wire_error(job_id.error());
    const auto job = deps.reader.find(scope_of(principal), *job_id);
    if (!job) return wire_error(job.error());
    return Show(*job);
}

// What the next page is asked for with: the way the caller pages.
json next_of(const json& params, const jobs::JobFilter& filter, const jobs::JobPage& page) {
    if (!page.more) return nullptr;
    const auto offset = params.find("offset");
    if (offset != params.end() && !offset->is_null()) return filter.offset + page.jobs.size();
    return page.jobs.back().job_id;
}

MethodResult list_jobs(const JobMethodDeps& deps, const Principal& principal, const json& params) {
    const auto filter = parse_filter(params);
    if (!filter) return wire_error(filter.error());
    const auto page = deps.reader.list(scope_of(principal), *filter);
    if (!page) return wire_error(page.error());
    json items = json::array();
    for (const Job& job : page->jobs) {
        items.push_back(to_json(job));
        if (principal.is_operator) items.back()["organization_id"] = job.organization_id;
    }
    return json{{"items", std::move(items)},
                {"limit", filter->limit},
                {"offset", filter->offset},
                {"total", page->total},
                {"next", next_of(params, *filter, *page)}};
}

MethodResult job_events(const JobMethodDeps& deps, const Principal& principal, const json& params) {
    const auto job_id = job_id_of(params);
    if (!job_id) return wire_error(job_id.error());
    const auto after = parse_after(params);
    if (!after) return wire_error(after.error());
    const auto events = deps.reader.events(scope_of(principal), *job_id, *after);
    if (!events) return wire_error(events.error());
    json items = json::array();
    for (const model::JobEvent& event : events->items) items.push_back(to_json(event));
    return json{{"items", std::move(items)},
                {"next", events->more ? json(events->items.back().number) : json()}};
}

MethodResult list_notices(const JobMethodDeps& deps, const Principal& principal,
                          const json& params) {
    const auto after = parse_after(params);
    if (!after) return wire_error(after.error());
    const auto notices = deps.reader.notices(scope_of(principal), *after);
    if (!notices) return wire_error(notices.error());
    json items = json::array();
    for (const model::Notice& notice : notices->items) items.push_back(model::to_json(notice));
    return json{{"items", std::move(items)},
                {"next", notices->more ? json(notices->items.back().sequence) : json()}};
}

template <Result<Job> (jobs::JobRequests::*Change)(const OrganizationScope&, std::string_view,
                                                   std::string_view)>
MethodResult change_job(const JobMethodDeps& deps, const Principal& principal, const json& params) {
    const auto job_id = job_id_of(params);
    if (!job_id) return wire_error(job_id.error());
    const auto job = (deps.requests.*Change)(scope_of(principal), *job_id, principal.subject);
    if (!job) return wire_error(job.error());
    deps.exports.wake();
    return to_json(*job);
}

json template_json(const catalog::ExportTemplate& entry) {
    return {{"name", entry.name},
            {"updated_at", to_iso8601(entry.updated_us)},
            {"template", parse_json(entry.body_json)}};
}

std::string name_of(const json& params) {
    return text_in(params, "name").value_or("");
}

MethodResult put_template(const JobMethodDeps& deps, const Principal& principal,
                          const json& params) {
    const auto organization = organization_of(principal);
    if (!organization) return wire_error(organization.error());
    const std::string name = name_of(params);
    const auto put =
        deps.exports.put_template(*organization, name, params.value("template", json()));
    if (!put) return wire_error(put.error());
    const auto entry = deps.exports.find_template(*organization, name);
    if (!entry) return wire_error(entry.error());
    return template_json(*entry);
}

MethodResult get_template(const JobMethodDeps& deps, const Principal& principal,
                          const json& params) {
    const auto organization = organization_of(principal);
    if (!organization) return wire_error(organization.error());
    const auto entry = deps.exports.find_template(*organization, name_of(params));
    if (!entry) return wire_error(entry.error());
    return template_json(*entry);
}

MethodResult list_templates(const JobMethodDeps& deps, const Principal& principal, const json&) {
    const auto organization = organization_of(principal);
    if (!organization) return wire_error(organization.error());
    const auto entries = deps.exports.templates(*organization);
    if (!entries) return wire_error(entries.error());
    json items = json::array();
    for (const auto& entry : *entries)
        items.push_back({{"name", entry.name}, {"updated_at", to_iso8601(entry.updated_us)}});
    return json{{"items", std::move(items)}};
}

MethodResult drop_template(const JobMethodDeps& deps, const Principal& principal,
                           const json& params) {
    const auto organization = organization_of(principal);
    if (!organization) return wire_error(organization.error());
    const std::string name = name_of(params);
    if (auto dropped = deps.exports.drop_template(*organization, name); !dropped)
        return wire_error(dropped.error());
    return json{{"name", name}, {"dropped", true}};
}

// An optional, because g++ 12 compares no function with nullptr in a constant expression under
// -fsanitize=undefined.
constexpr std::optional<BeginMethod> find_begin(message::MethodId id) {
    using enum message::MethodId;
    // Without a default: a new method does not compile until it is here.
    switch (id) {
        case kGetDownloadUrl:
        case kExplainDownloadUrl:
        case kPing:
        case kListMethods:
        case kReportDownload: return std::nullopt;
        case kSubmitExport: return submit_export;
        case kPutTemplate: return at_once<put_template>;
        case kGetTemplate: return at_once<get_template>;
        case kListTemplates: return at_once<list_templates>;
        case kDropTemplate: return at_once<drop_template>;
        case kCreateJob: return create_job;
        case kReportProgress: return report_progress;
        case kGetJob: return at_once<get_job<to_json>>;
        case kGetJobStatus: return at_once<get_job<to_status_json>>;
        case kListJobs: return at_once<list_jobs>;
        case kCancelJob: return at_once<change_job<&jobs::JobRequests::request_cancel>>;
        case kRetryJob: return at_once<change_job<&jobs::JobRequests::retry>>;
        case kHoldJob: return at_once<change_job<&jobs::JobRequests::hold>>;
        case kReleaseJob: return at_once<change_job<&jobs::JobRequests::release_hold>>;
        case kListJobEvents: return at_once<job_events>;
        case kListNotices: return at_once<list_notices>;
    }
    return std::nullopt;
}

static_assert(std::ranges::all_of(message::kMethods, [](const message::WireMethod& method) {
    const bool needs_one =
        method.provider == message::Provider::kDaemon && !method.permission.empty();
    return find_begin(method.id).has_value() == needs_one;
}));

}  // namespace

Unfinished ended(MethodResult result) {
    return [result = std::move(result)]() mutable { return std::move(result); };
}

BeginMethod begin_of(message::MethodId id) {
    return find_begin(id).value_or(nullptr);
}

}  // namespace export_worker::server
