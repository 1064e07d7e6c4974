#include "plugins/download_url/s3_signer.hpp"

#include "signing/signing_time.hpp"

namespace export_worker::download_url {
namespace {

std::string_view view_of(ew_string text) {
    return {text.data, text.size};
}

}  // namespace

signing::SigV4Key S3Signer::key_for(const ew_credentials& credentials, std::string_view day) {
    {
        const std::shared_lock lock(mutex_);
        if (version_ == credentials.version && day_ == day) return key_;
    }
    const signing::SigV4Key key =
        signing::derive_sigv4_key(view_of(credentials.secret), day, store_.region, "s3");
    const std::unique_lock lock(mutex_);
    version_ = credentials.version;
    day_ = day;
    key_ = key;
    return key;
}

Result<std::string> S3Signer::sign(std::string_view bucket, std::string_view key,
                                   std::string_view disposition, const ew_credentials& credentials,
                                   std::int64_t now_unix_s, std::int64_t expires_seconds) {
    signing::S3PresignRequest request;
    request.bucket = bucket;
    request.key = key;
    request.region = store_.region;
    request.endpoint = store_.endpoint;
    request.addressing = store_.addressing;
    request.access_key_id = view_of(credentials.key_id);
    request.session_token = view_of(credentials.session_token);
    request.unix_s = now_unix_s;
    request.expires_seconds = expires_seconds;
    request.query = {{"response-content-disposition", disposition}};
    const signing::SigningTime time(now_unix_s);
    EW_TRY(signing::S3Presigned presigned,
           signing::presign_s3(request, key_for(credentials, time.day())));
    return std::move(presigned.url);
}

}  // namespace export_worker::download_url
