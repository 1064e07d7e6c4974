#include "daemon/control/backup_methods.hpp"

#include <array>
#include <filesystem>

#include "base/base64.hpp"
#include "base/disk_space.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/limits.hpp"
#include "daemon/control/limits.hpp"
#include "daemon/control/params.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

using KeepGoing = std::function<bool()>;

// One backup while its copies are made. The parts outlive it.
struct Copying {
    const ControlDeps& deps;
    std::string id;
    KeepGoing keep_going;
    std::function<void(json)> progress;

    [[nodiscard]] Result<void> add(
        const std::string& name,
        const std::function<Result<void>(const std::string&)>& copy) const {
        progress({{"file", name}});
        return deps.backups.add(id, name, copy, keep_going);
    }
};

// Jobs before products: a job never refers to a product that is not there, and the other way round
// nothing refers at all.
Result<void> add_databases(const Copying& of) {
    const ControlDeps& deps = of.deps;
    EW_CHECK(
        of.add("jobs.db", [&](const auto& to) { return deps.jobs.backup(to, of.keep_going); }));
    EW_CHECK(of.add("catalog.db",
                    [&](const auto& to) { return deps.catalog.backup(to, of.keep_going); }));
    EW_CHECK(
        of.add("auth.db", [&](const auto& to) { return deps.auth.backup(to, of.keep_going); }));
    return of.add("plugins.db",
                  [&](const auto& to) { return deps.plugins.history().backup(to, of.keep_going); });
}

// What a start or a rollback may load. The files never change, so another name for each is a copy.
Result<void> add_plugin_files(const Copying& of) {
    EW_TRY(const auto hashes, of.deps.plugins.history().worth_keeping());
    for (const std::string& sha256 : hashes) {
        std::string name(kBackupPluginsDirectory);
        name.append("/").append(sha256).append(".so");
        const std::string from = of.deps.state_dir + "/" + name;
        if (std::error_code ignored; !fs::exists(from, ignored)) continue;
        EW_CHECK(of.add(name, [&](const std::string& to) -> Result<void> {
            std::error_code error;
            fs::create_hard_link(from, to, error);
            if (error) fs::copy_file(from, to, error);
            if (error) return fail(errno_error("copy " + from + " to " + to, error.value()));
            return {};
        }));
    }
    return {};
}

Result<BackupManifest> make_copies(const Copying& of) {
    EW_CHECK(add_databases(of));
    EW_CHECK(add_plugin_files(of));
    EW_TRY(BackupManifest manifest, of.deps.backups.complete(of.id, of.deps.version));
    if (manifest.files.size() > limits::kBackupFilesMax)
        return fail(ErrorCode::kResourceExhausted,
                    "backup: expected at most " + std::to_string(limits::kBackupFilesMax) +
                        " files, found " + std::to_string(manifest.files.size()));
    return manifest;
}

// A backup must not fill the disk on which the daemon writes.
Result<void> check_room(const std::string& state_dir) {
    std::uintmax_t bytes = limits::kBackupFreeBytesMin;
    for (const std::string_view database : kBackupDatabases) {
        for (const char* end : {"", "-wal"}) {
            std::error_code error;
            const auto size = fs::file_size(state_dir + "/" + std::string(database) + end, error);
            if (!error) bytes += size;
        }
    }
    EW_TRY(const DiskSpace disk, read_disk_space(state_dir));
    if (disk.free_bytes >= bytes) return {};
    return fail(ErrorCode::kResourceExhausted,
                "backup: expected " + std::to_string(bytes) + " bytes free in " + state_dir +
                    " for copies of the databases while they are fetched, found " +
                    std::to_string(disk.free_bytes) + "; free space and try again");
}

Result<json> run_backup(const Copying& of) {
    auto manifest = make_copies(of);
    if (manifest) return json{{"files", manifest->files.size()}, {"bytes", manifest->bytes()}};
    of.deps.backups.end(of.id);
    if (manifest.error().code != ErrorCode::kCancelled) return fail(std::move(manifest.error()));
    return fail(ErrorCode::kCancelled,
                "backup: ended before all was copied: its exportctl or the daemon was stopped, or "
                "it took more than " +
                    std::to_string(limits::kBackupTimeMax.count()) + " s");
}

Result<json> backup_begin(const ControlDeps& deps, const json&) {
    EW_CHECK(check_room(deps.state_dir));
    EW_TRY(const std::string id, deps.backups.begin());
    const auto begun = deps.task.start("backup", [deps, id](
                                                     const std::atomic<bool>& stopping,
                                                     const std::function<void(json)>& progress) {
        return run_backup(
            {deps, id, [&] { return !stopping.load() && deps.backups.is_wanted(id); }, progress});
    });
    if (!begun) deps.backups.end(id);
    EW_CHECK(begun);
    return json{{"id", id}};
}

Result<json> backup_manifest(const ControlDeps& deps, const json& params) {
    EW_TRY(const BackupManifest manifest, deps.backups.manifest(text_of(params, "id")));
    return json{{"manifest", parse_json(encode_backup_manifest(manifest))}};
}

Result<json> backup_read(const ControlDeps& deps, const json& params) {
    JsonFields fields(params);
    EW_TRY(const std::string id, fields.text("id"));
    EW_TRY(const std::string name, fields.text("name"));
    EW_TRY(const std::int64_t offset, fields.integer("offset", {0, INT64_MAX}));
    EW_TRY(const std::string piece, deps.backups.read(id, name, offset, limits::kBackupPieceBytes));
    return json{{"base64", to_base64(piece)}};
}

Result<json> backup_end(const ControlDeps& deps, const json& params) {
    deps.backups.end(text_of(params, "id"));
    return json{{"ended", true}};
}

constexpr std::array<ControlRow, 4> kMethods{{{kBackupBegin, backup_begin},
                                              {"control.backup_manifest", backup_manifest},
                                              {"control.backup_read", backup_read},
                                              {"control.backup_end", backup_end}}};

}  // namespace

ControlMethod find_backup_method(std::string_view method) {
    return find_in(kMethods, method);
}

}  // namespace export_worker::control
