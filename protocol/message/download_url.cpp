#include "protocol/message/download_url.hpp"

#include <msgpack.hpp>

#include "protocol/message/find_text.hpp"
#include "protocol/message/job_id.hpp"

namespace export_worker::message {

Result<DownloadUrlParams> decode_download_url_params(std::string_view params) {
    const auto job_id = find_top_level_text(params, "job_id");
    if (!job_id) return fail(ErrorCode::kInvalidArgument, "job_id: expected text");
    EW_CHECK(check_job_id(*job_id));
    return DownloadUrlParams{*job_id};
}

void encode_download_url_result(std::string& out, const DownloadUrlResult& result) {
    out.clear();
    StringSink sink(out);
    msgpack::packer<StringSink> packer(sink);
    packer.pack_map(result.explanation.empty() ? 3 : 4);
    packer.pack("download_url");
    packer.pack(result.download_url);
    packer.pack("filename");
    packer.pack(result.filename);
    packer.pack("expires_in_seconds");
    packer.pack(result.expires_in_seconds);
    if (result.explanation.empty()) return;
    packer.pack("explanation");
    packer.pack_map(static_cast<std::uint32_t>(result.explanation.size()));
    for (const auto& [name, text] : result.explanation) {
        packer.pack(name);
        packer.pack(text);
    }
}

}  // namespace export_worker::message
