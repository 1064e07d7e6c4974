#include "daemon/app/upload_store.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/app/store_path.hpp"
#include "daemon/files/local_file_store.hpp"
#include "daemon/files/object_file_store.hpp"

namespace export_worker::app {
namespace {

Result<std::unique_ptr<files::FileStore>> open_local(const model::StoreSettings& settings,
                                                     jobs::JobStore& jobs) {
    const std::string& root = settings.values.at("root");
    files::RootOwner owner{jobs.reader().registry_id(), {}, settings.is_shared_root};
    EW_TRY(const auto published, jobs.files().published_files(model::FileKey()));
    for (const jobs::PublishedFile& file : published) owner.published.push_back(file.key);
    if (files::is_root_of(root, owner)) EW_CHECK(check_writable(root));
    EW_TRY(std::unique_ptr<files::LocalFileStore> opened, files::LocalFileStore::open(root, owner));
    if (opened->parts_swept() > 0)
        log_warn("deleted {} half-written export files", opened->parts_swept());
    return std::unique_ptr<files::FileStore>(std::move(opened));
}

Result<const model::StoreSettings*> export_store_of(const config::Config& config) {
    const auto settings =
        std::ranges::find(config.stores, config.exports.store, &model::StoreSettings::name);
    if (settings != config.stores.end() && settings->kind != "cloudfront") return &*settings;
    return fail(ErrorCode::kInvalidArgument,
                "[export] store: expected the name of a [store.NAME] with kind = local, s3, gcs "
                "or azure, found '" +
                    printable(config.exports.store) + "'");
}

Result<std::unique_ptr<files::FileStore>> open_objects(const model::StoreSettings& settings,
                                                       const CurrentCredentials& credentials,
                                                       const std::atomic<bool>& stopping) {
    files::ObjectStoreDeps deps;
    EW_TRY(deps.store, signing::parse_store(settings.name, settings.values));
    deps.part_bytes = settings.part_bytes;
    deps.clock = &system_clock();
    deps.stopping = &stopping;
    auto keys = std::make_shared<UploadKeys>(deps.store, credentials, system_clock());
    deps.signing_key = [keys] { return keys->now(); };
    return std::unique_ptr<files::FileStore>(
        std::make_unique<files::ObjectFileStore>(std::move(deps)));
}

}  // namespace

Result<std::unique_ptr<files::FileStore>> open_export_store(const config::Config& config,
                                                            const CurrentCredentials& credentials,
                                                            jobs::JobStore& jobs,
                                                            const std::atomic<bool>& stopping) {
    EW_TRY(const model::StoreSettings* const settings, export_store_of(config));
    if (settings->kind == "local") return open_local(*settings, jobs);
    return open_objects(*settings, credentials, stopping);
}

Result<std::unique_ptr<files::FileStore>> open_object_store(const config::Config& config,
                                                            const CurrentCredentials& credentials,
                                                            const std::atomic<bool>& stopping) {
    EW_TRY(const model::StoreSettings* const settings, export_store_of(config));
    if (settings->kind != "local") return open_objects(*settings, credentials, stopping);
    return fail(ErrorCode::kInvalidArgument,
                "[export] store: expected a [store.NAME] with kind = s3, gcs or azure, found the "
                "directory " +
                    settings->values.at("root"));
}

}  // namespace export_worker::app
