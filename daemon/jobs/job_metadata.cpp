#include "daemon/jobs/job_metadata.hpp"

#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/shared_limits.hpp"
#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs {

using nlohmann::json;

Result<json> parse_metadata(const std::string& text) {
    if (text.size() > limits::kJobMetadataBytesMax) {
        return fail(ErrorCode::kInvalidArgument,
                    "metadata: expected at most " + std::to_string(limits::kJobMetadataBytesMax) +
                        " bytes, found " + std::to_string(text.size()));
    }
    json object = parse_json(text);
    if (!object.is_object()) return unexpected_value("metadata", "an object", object);
    const std::size_t url_bytes = text_in(object, "file_url").value_or("").size();
    if (url_bytes > limits::kFileUrlBytesMax) {
        return fail(ErrorCode::kInvalidArgument, "metadata.file_url: expected at most " +
                                                     std::to_string(limits::kFileUrlBytesMax) +
                                                     " bytes, found " + std::to_string(url_bytes));
    }
    return object;
}

Result<json> merge_metadata(const std::string& metadata_json, const std::string& patch_json) {
    json metadata = parse_json(metadata_json);
    if (!patch_json.empty()) {
        EW_TRY(const json patch, parse_metadata(patch_json));
        metadata.merge_patch(patch);
    }
    return parse_metadata(dump_json(metadata));
}

Result<json> completed_metadata(const std::string& metadata_json, const Completion& completion) {
    EW_TRY(json patch, parse_metadata(completion.metadata_json));
    patch["file_url"] = completion.file.file_url;
    patch["filename"] = completion.filename;
    return merge_metadata(metadata_json, dump_json(patch));
}

std::string without_file_url(const std::string& metadata_json) {
    json metadata = parse_json(metadata_json);
    if (!metadata.is_object() || metadata.erase("file_url") == 0) return metadata_json;
    return dump_json(metadata);
}

}  // namespace export_worker::jobs
