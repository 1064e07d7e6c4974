// The bodies of exports.submit, templates.put, jobs.create, jobs.report_progress and jobs.list, as
// JSON or as msgpack. What is accepted of an export is stored and read again by the worker that
// runs it, which must find the same.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/json.hpp"
#include "base/text.hpp"
#include "daemon/format/columns.hpp"
#include "daemon/model/export_spec.hpp"
#include "daemon/model/limits.hpp"
#include "daemon/server/job_json.hpp"
#include "protocol/message/validate.hpp"

using namespace export_worker;
using nlohmann::json;

namespace {

void check(bool good) {
    if (!good) std::abort();
}

// Every refusal says what is wrong, in text that a log and a reply can carry.
template <typename T>
bool accepted(const Result<T>& result) {
    if (!result) {
        check(!result.error().message.empty());
        check(is_valid_utf8(result.error().message));
        check(!has_control_characters(result.error().message));
    }
    return result.has_value();
}

void check_export(const json& body) {
    const auto spec = model::parse_export_spec(body);
    if (!accepted(spec)) return;
    check(spec->columns.size() <= limits::kExportColumnsMax);
    const json stored = parse_json(dump_json(model::to_json(*spec)));
    const auto again = model::parse_export_spec(stored);
    check(again.has_value() && model::to_json(*again) == stored);
    check(!model::file_extension(*spec).empty() && !model::media_type(*spec).empty());
    (void)accepted(format::resolve_columns(*spec, {"color", "dimensions.width", "title"}));
}

void check_report(const json& body) {
    const auto report = server::parse_report(body);
    if (!accepted(report)) return;
    check(report->metadata_patch_json.empty() ||
          parse_json(report->metadata_patch_json).is_object());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    json body = parse_json(bytes);
    // Behind the data socket only what decode_request() lets through is read.
    if (!body.is_structured() && message::validate_object(bytes)) body = parse_msgpack(bytes);
    if (body.is_discarded()) return 0;
    check_export(body);
    (void)accepted(model::check_export_template(body));
    if (const auto job = server::parse_new_job(body); accepted(job)) {
        check(parse_json(job->metadata_json).is_object() && job->total_items >= 0);
        check(!job->request_sha256.empty());
    }
    check_report(body);
    if (!body.is_object()) return 0;
    (void)accepted(server::parse_filter(body));
    (void)accepted(server::parse_after(body));
    return 0;
}
