#include "plugins/download_url/minter.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <optional>

#include "base/clock.hpp"
#include "base/store_mark.hpp"
#include "base/text.hpp"
#include "plugins/download_url/abi_text.hpp"
#include "protocol/message/wire_error.hpp"
#include "signing/content_disposition.hpp"
#include "signing/local_link.hpp"

namespace export_worker::download_url {
namespace {

using message::WireCode;
using signing::Store;
using signing::StoreKind;

void write_error(ew_writer& writer, std::uint32_t code, std::string_view message) {
    writer.set_error(&writer, code, abi_string(message), EW_EXECUTED_NO, abi_string({}));
}
void write_error(ew_writer& writer, WireCode code, std::string_view message) {
    write_error(writer, static_cast<std::uint32_t>(code), message);
}

// These have a file; a partial success has one that lacks some products (docs/decisions/0011).
bool has_file(std::string_view status) {
    return status == "completed" || status == "completed_with_warnings" ||
           status == "partial_success";
}

std::string_view last_segment(std::string_view key) {
    return key.substr(key.rfind('/') + 1);
}

// What a worker has reported may be anything.
bool is_sha256(std::string_view text) {
    return text.size() == 64 &&
           text.find_first_not_of("0123456789abcdefABCDEF") == std::string_view::npos;
}

enum class FileState { kThere, kGone, kAway };

// One look at the file when it is there; at the root only when it is not.
FileState look_for(const Store& store, const std::string& key) {
    struct stat info {};
    if (::stat((store.root + "/" + key).c_str(), &info) == 0)
        return S_ISREG(info.st_mode) ? FileState::kThere : FileState::kGone;
    if (!is_no_file(errno)) return FileState::kAway;
    const std::optional<std::string_view> registry =
        store.registry.empty() ? std::nullopt : std::optional<std::string_view>(store.registry);
    return is_root_away(store.root, registry) ? FileState::kAway : FileState::kGone;
}

std::string_view name_of(StoreKind kind) {
    switch (kind) {
        case StoreKind::kLocal: return "local";
        case StoreKind::kS3: return "s3";
        case StoreKind::kGcs: return "gcs";
        case StoreKind::kAzure: return "azure";
        case StoreKind::kCloudFront: break;
    }
    return "cloudfront";
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

bool Minter::find_job(const ew_request& request, std::string_view permission,
                      std::string_view job_id, ew_writer& writer, Job& job) const {
    // Both services write their own refusal.
    ew_principal principal{};
    principal.struct_bytes = sizeof principal;
    if (services_.authorize->require(services_.host, &request, abi_string(permission), &writer,
                                     &principal) != EW_OK)
        return false;
    ew_job found{};
    found.struct_bytes = sizeof found;
    const ew_status status =
        services_.jobs->find(services_.host, &request, abi_string(job_id), &writer, &found);
    if (status == EW_NOT_FOUND || (status == EW_OK && found.is_export == 0)) {
        write_error(writer, WireCode::kNotFound, "Export job not found");
        return false;
    }
    if (status != EW_OK) return false;
    if (!has_file(view_of(found.status))) {
        write_error(
            writer, WireCode::kConflict,
            "Export job is " + std::string(view_of(found.status)) + "; it has no file to download");
        return false;
    }
    job = {view_of(found.file_url), view_of(found.filename), view_of(found.organization_id),
           view_of(found.content_type), view_of(found.sha256)};
    if (!job.file_url.empty()) return true;
    write_error(writer, WireCode::kGone, "Export file is no longer available");
    return false;
}

tl::expected<void, Minter::Refusal> Minter::check_file(
    const signing::StoreLocation& location) const {
    const Store& store = *location.store;
    switch (look_for(store, location.key)) {
        case FileState::kThere: return {};
        case FileState::kGone:
            return tl::unexpected(Refusal{EW_ERROR_GONE, "Export file is no longer available"});
        case FileState::kAway: break;
    }
    const std::string text = "no link to " + printable(location.key) + " of store " + store.name +
                             ": " + store.root +
                             " is missing, empty, without the daemon's mark or cannot be read; "
                             "mount it";
    services_.log->write(services_.host, EW_LOG_WARN, abi_string(text));
    return tl::unexpected(Refusal{EW_ERROR_UNAVAILABLE,
                                  "The file's store is not available right now; try again later"});
}

Minter::Decided Minter::decide(const ew_request& request, const Job& job) {
    const auto unsignable = [](const Error& error) {
        return tl::unexpected(
            Refusal{EW_ERROR_CONFLICT, "The job's file_url cannot be signed: " + error.message});
    };
    auto location = signing::locate(stores_, job.file_url, job.organization_id);
    if (!location) return unsignable(location.error());
    Minted out;
    out.location = std::move(*location);
    const Store& store = *out.location.store;
    if (store.kind == StoreKind::kLocal) {
        if (auto there = check_file(out.location); !there)
            return tl::unexpected(std::move(there).error());
    }
    out.filename = signing::safe_filename(!job.filename.empty() ? job.filename
                                                                : last_segment(out.location.key));
    if (signing::is_content_type(job.content_type)) out.content_type = job.content_type;
    if (is_sha256(job.sha256)) out.sha256 = job.sha256;
    if (auto signed_link = sign(&request, out); !signed_link)
        return tl::unexpected(std::move(signed_link).error());
    return out;
}

tl::expected<void, Minter::Refusal> Minter::sign(const ew_request* request, Minted& minted) {
    const Store& store = *minted.location.store;
    const auto unavailable = [](std::string_view why) {
        return tl::unexpected(
            Refusal{EW_ERROR_PLUGIN_UNAVAILABLE, "The file's store " + std::string(why)});
    };
    ew_credentials credentials{};
    credentials.struct_bytes = sizeof credentials;
    if (services_.credentials->get(services_.host, request, abi_string(store.name), &credentials) !=
        EW_OK)
        return unavailable("has no credentials yet");

    signing::LinkTimesRequest wanted;
    wanted.now_unix_s = services_.clock->unix_us(services_.host) / 1'000'000;
    wanted.lifetime_s = store.link_lifetime_s;
    wanted.lifetime_max_s = signing::lifetime_max_s(store);
    wanted.window_s = store.link_window_s;
    wanted.backdate_s = store.link_backdate_s;
    wanted.credentials_end_unix_s = credentials.expires_unix_us / 1'000'000;
    const auto times = signing::plan_link_times(wanted);
    if (!times) return unavailable("has credentials that have expired");
    minted.times = *times;
    minted.expires_in_s = times->expires_unix_s - wanted.now_unix_s;
    minted.credentials_end_unix_s = wanted.credentials_end_unix_s;
    if (store.expiry_policy == signing::ExpiryPolicy::kRefuse &&
        minted.expires_in_s < store.link_lifetime_s)
        return unavailable("has credentials that end before a link would");

    std::string disposition;
    signing::append_content_disposition(disposition, minted.filename);
    signing::StoreLinkRequest link_request;
    link_request.key = minted.location.key;
    link_request.times = *times;
    link_request.disposition = disposition;
    link_request.filename = minted.filename;
    link_request.content_type = minted.content_type;
    link_request.sha256_hex = minted.sha256;
    auto link =
        signers_[static_cast<std::size_t>(&store - stores_.data())].sign(link_request, credentials);
    if (!link) {
        return tl::unexpected(Refusal{
            EW_ERROR_CONFLICT, "The job's file_url cannot be signed: " + link.error().message});
    }
    minted.link = std::move(*link);
    return {};
}

void Minter::mint(const ew_request& request, ew_writer& writer) {
    const auto params = message::decode_download_url_params(view_of(request.params));
    if (!params) return write_error(writer, WireCode::kInvalidArgument, params.error().message);
    const bool explain = view_of(request.method) == message::kExplainMethod;
    Job job;
    const std::string_view permission =
        explain ? message::kExplainPermission : message::kDownloadUrlPermission;
    if (!find_job(request, permission, params->job_id, writer, job)) return;
    const Decided decided = decide(request, job);
    if (!decided) {
        if (decided.error().code == EW_ERROR_CONFLICT) {
            count(refused_);
            const std::string text =
                "job " + printable(params->job_id) + ": " + decided.error().message;
            services_.log->write(services_.host, EW_LOG_WARN, abi_string(text));
        }
        return write_error(writer, decided.error().code, decided.error().message);
    }
    message::DownloadUrlResult result;
    result.download_url = decided->link.url;
    result.filename = decided->filename;
    result.expires_in_seconds = decided->expires_in_s;
    if (explain) {
        const Store& store = *decided->location.store;
        const auto time = [](std::int64_t unix_s) { return to_iso8601(unix_s * 1'000'000); };
        result.explanation = {{"store", store.name},
                              {"kind", std::string(name_of(store.kind))},
                              {"file_url", std::string(job.file_url)},
                              {"key", decided->location.key},
                              {"signed_at", time(decided->times.signed_unix_s)},
                              {"expires_at", time(decided->times.expires_unix_s)},
                              {"credentials_end", decided->credentials_end_unix_s == 0
                                                      ? "never"
                                                      : time(decided->credentials_end_unix_s)},
                              {"canonical_request", decided->link.canonical_request},
                              {"string_to_sign", decided->link.string_to_sign}};
    }
    // No thread_local: one with a destructor would keep this image mapped after a reload.
    std::string bytes;
    message::encode_download_url_result(bytes, result);
    if (writer.append(&writer, bytes.data(), bytes.size()) != EW_OK) return;
    count(minted_);
    if (services_.audit != nullptr)
        services_.audit->record(services_.host, &request, abi_string(params->job_id),
                                abi_string("link_minted"));
}

Result<void> Minter::self_test() {
    for (const Store& store : stores_) {
        Minted made_up;
        made_up.location = {&store, store.key_prefix + "self-test/file.csv"};
        made_up.filename = "file.csv";
        const auto signed_link = sign(nullptr, made_up);
        // Credentials that have not come yet, or have just ended, are no fault of the code.
        if (!signed_link && signed_link.error().code != EW_ERROR_PLUGIN_UNAVAILABLE) {
            return fail(ErrorCode::kFailedPrecondition,
                        "[store." + store.name + "] " + signed_link.error().message);
        }
    }
    return {};
}

Result<std::vector<Store>> read_stores(
    const std::map<std::string, std::string, std::less<>>& config) {
    constexpr std::string_view kFamily = "store.";
    std::map<std::string, std::map<std::string, std::string>> by_name;
    for (const auto& [key, value] : config) {
        const std::size_t dot = key.rfind('.');
        if (!key.starts_with(kFamily) || dot <= kFamily.size()) continue;
        by_name[key.substr(kFamily.size(), dot - kFamily.size())][key.substr(dot + 1)] = value;
    }
    std::vector<Store> stores;
    for (const auto& [name, values] : by_name) {
        auto store = signing::parse_store(name, values);
        if (!store)
            return fail(store.error().code, "[store." + name + "] " + store.error().message);
        stores.push_back(std::move(*store));
    }
    return stores;
}

}  // namespace export_worker::download_url
