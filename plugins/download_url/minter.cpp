#include "plugins/download_url/minter.hpp"

#include <sys/stat.h>

#include <algorithm>

#include "base/text.hpp"
#include "protocol/message/download_url.hpp"
#include "protocol/message/wire_error.hpp"
#include "signing/content_disposition.hpp"
#include "signing/local_link.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::download_url {
namespace {

using message::WireCode;

std::string_view view_of(ew_string text) {
    return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
ew_string abi_string(std::string_view text) {
    return {text.data(), text.size()};
}

void refuse(ew_writer& writer, WireCode code, std::string_view message) {
    writer.set_error(&writer, static_cast<std::uint32_t>(code), abi_string(message), EW_EXECUTED_NO,
                     abi_string({}));
}

// "completed" and "completed_with_warnings" have a file.
bool has_file(std::string_view status) {
    return status == "completed" || status == "completed_with_warnings";
}

std::string_view last_segment(std::string_view key) {
    return key.substr(key.rfind('/') + 1);
}

bool has_dot_segment(std::string_view path) {
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view segment = path.substr(begin, end - begin);
        if (segment == "." || segment == "..") return true;
        begin = end + 1;
    }
    return false;
}

bool is_readable_file(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

// Seconds the URL will really work: the store's lifetime, cut at the end of the credentials.
std::int64_t effective_lifetime_s(const Store& store, const ew_credentials& credentials,
                                  std::int64_t now_unix_s) {
    if (credentials.expires_unix_us == 0) return store.link_lifetime_s;
    return std::min(store.link_lifetime_s, credentials.expires_unix_us / 1'000'000 - now_unix_s);
}

}  // namespace

Minter::Minter(const Services& services, std::vector<Store> stores)
    : services_(services), stores_(std::move(stores)) {
    for (const Store& store : stores_) signers_.emplace_back(store);
    if (services_.metrics != nullptr) {
        minted_ = services_.metrics->register_counter(services_.host, abi_string("minted_total"),
                                                      abi_string("Links minted"));
        refused_ = services_.metrics->register_counter(
            services_.host, abi_string("unsignable_total"),
            abi_string("Jobs whose file_url could not be signed"));
    }
}

void Minter::count(std::int32_t counter) const {
    if (services_.metrics != nullptr) services_.metrics->add(services_.host, counter, 1);
}

void Minter::mint(const ew_request& request, ew_writer& writer) {
    const auto params = message::decode_download_url_params(view_of(request.params));
    if (!params) return refuse(writer, WireCode::kInvalidArgument, params.error().message);

    // Both write their own refusal.
    ew_principal principal{};
    principal.struct_bytes = sizeof principal;
    if (services_.authorize->require(services_.host, &request, abi_string("product:read"), &writer,
                                     &principal) != EW_OK)
        return;
    ew_job job{};
    job.struct_bytes = sizeof job;
    const ew_status found =
        services_.jobs->find(services_.host, &request, abi_string(params->job_id), &writer, &job);
    if (found == EW_NOT_FOUND || (found == EW_OK && job.is_export == 0)) {
        return refuse(writer, WireCode::kNotFound, "Export job not found");
    }
    if (found != EW_OK) return;
    const std::string_view status = view_of(job.status);
    if (!has_file(status)) {
        return refuse(writer, WireCode::kConflict,
                      "Export job is " + std::string(status) + "; it has no file to download");
    }
    if (job.file_url.size == 0)
        return refuse(writer, WireCode::kGone, "Export file is no longer available");

    const auto location = locate(view_of(job.file_url), view_of(job.organization_id));
    if (!location) {
        count(refused_);
        const std::string text =
            "job " + printable(params->job_id) + ": " + location.error().message;
        services_.log->write(services_.host, EW_LOG_WARN, abi_string(text));
        return refuse(writer, WireCode::kConflict,
                      "The job's file_url cannot be signed: " + location.error().message);
    }
    if (location->store->kind == Store::Kind::kLocal &&
        !is_readable_file(location->store->root + "/" + location->key)) {
        return refuse(writer, WireCode::kGone, "Export file is no longer available");
    }
    ew_credentials credentials{};
    credentials.struct_bytes = sizeof credentials;
    if (services_.credentials->get(services_.host, request.call, abi_string(location->store->name),
                                   &credentials) != EW_OK) {
        return refuse(writer, WireCode::kInternal, "the store has no credentials");
    }
    const std::int64_t now_unix_s = services_.clock->unix_us(services_.host) / 1'000'000;
    const std::int64_t lifetime_s = effective_lifetime_s(*location->store, credentials, now_unix_s);
    if (lifetime_s < 1)
        return refuse(writer, WireCode::kPluginUnavailable, "the store's credentials have expired");

    const std::string filename = signing::safe_filename(
        job.filename.size > 0 ? view_of(job.filename) : last_segment(location->key));
    const auto url = sign(*location, filename, credentials, now_unix_s, lifetime_s);
    if (!url) {
        count(refused_);
        return refuse(writer, WireCode::kConflict,
                      "The job's file_url cannot be signed: " + url.error().message);
    }
    // No thread_local: one with a destructor would keep this image mapped after a reload.
    std::string result;
    message::encode_download_url_result(result, {*url, filename, lifetime_s});
    if (writer.append(&writer, result.data(), result.size()) == EW_OK) count(minted_);
}

Result<Minter::Location> Minter::locate(std::string_view file_url,
                                        std::string_view organization_id) {
    const Store* store = match_store(stores_, file_url);
    if (store == nullptr)
        return fail(ErrorCode::kInvalidArgument, "no configured store has this prefix");
    Location location;
    location.store = store;
    std::string_view below = file_url.substr(store->prefix.size());
    if (store->kind == Store::Kind::kLocal) {
        auto decoded = signing::percent_decode(below);
        if (!decoded) return fail(ErrorCode::kInvalidArgument, "a '%' without two hex digits");
        location.key = std::move(*decoded);
    } else {
        // s3://BUCKET/KEY: the key's bytes are exactly what follows, nothing is decoded.
        constexpr std::size_t kScheme = std::string_view("s3://").size();
        location.bucket = file_url.substr(kScheme, file_url.find('/', kScheme) - kScheme);
        location.key = file_url.substr(kScheme + location.bucket.size() + 1);
        location.signer = &signers_[static_cast<std::size_t>(store - stores_.data())];
    }
    const std::string_view checked =
        store->kind == Store::Kind::kLocal ? std::string_view(location.key) : below;
    if (has_dot_segment(checked)) return fail(ErrorCode::kInvalidArgument, "a '.' or '..' segment");
    const bool own = checked.size() > organization_id.size() &&
                     checked.starts_with(organization_id) && checked[organization_id.size()] == '/';
    if (store->organization_prefix && !own) {
        return fail(ErrorCode::kInvalidArgument, "it is not below the organization's own prefix");
    }
    return location;
}

Result<std::string> Minter::sign(const Location& location, std::string_view filename,
                                 const ew_credentials& credentials, std::int64_t now_unix_s,
                                 std::int64_t expires_seconds) {
    if (location.store->kind == Store::Kind::kS3) {
        std::string disposition;
        signing::append_content_disposition(disposition, filename);
        return location.signer->sign(location.bucket, location.key, disposition, credentials,
                                     now_unix_s, expires_seconds);
    }
    signing::LocalLinkRequest request;
    request.base_url = location.store->base_url;
    request.path = location.key;
    request.key_id = view_of(credentials.key_id);
    request.secret = view_of(credentials.secret);
    request.expires_unix_s = now_unix_s + expires_seconds;
    request.filename = filename;
    EW_TRY(signing::LocalLink link, signing::sign_local_link(request));
    return std::move(link.url);
}

Result<void> Minter::self_test() {
    const std::int64_t now_unix_s = services_.clock->unix_us(services_.host) / 1'000'000;
    for (const Store& store : stores_) {
        const std::string where = "[store." + store.name + "] ";
        ew_credentials credentials{};
        credentials.struct_bytes = sizeof credentials;
        if (services_.credentials->get(services_.host, nullptr, abi_string(store.name),
                                       &credentials) != EW_OK) {
            return fail(ErrorCode::kFailedPrecondition, where + "has no credentials");
        }
        const std::string file_url =
            store.prefix + "self-test/file.csv";  // Outlives `location`, which looks into it.
        const auto location = locate(file_url, "self-test");
        if (!location)
            return fail(ErrorCode::kFailedPrecondition, where + location.error().message);
        const auto url =
            sign(*location, "file.csv", credentials, now_unix_s, store.link_lifetime_s);
        if (!url) return fail(ErrorCode::kFailedPrecondition, where + url.error().message);
    }
    return {};
}

}  // namespace export_worker::download_url
