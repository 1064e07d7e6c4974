#include "daemon/app/restore.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string_view>

#include "base/file_lock.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/app/restore_state.hpp"
#include "daemon/app/state_owner.hpp"
#include "daemon/app/upload_store.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/config/config.hpp"
#include "daemon/control/maintenance_methods.hpp"
#include "daemon/export/fsck.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "daemon/plugins/lifecycle/history.hpp"

namespace export_worker::app {
namespace {

using nlohmann::json;

constexpr int kExitRefused = 1;
constexpr int kExitBadData = 65;
constexpr int kExitConfig = 78;

std::string join(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

Result<void> check_free(const std::string& state_dir, bool force) {
    const std::vector<std::string> used = state_in_use(state_dir);
    if (used.empty() || force) return {};
    return fail(ErrorCode::kFailedPrecondition,
                state_dir + ": expected no databases and plugin files, found " + join(used) +
                    "; --force moves them into a directory beside the new ones");
}

Result<exports::FsckReport> check_exports(const config::Config& config, const std::string& version,
                                          bool hashes) {
    EW_TRY(const std::shared_ptr<credentials::CredentialStore> credentials,
           credentials::CredentialStore::load(config.stores));
    const CurrentCredentials current(credentials);
    const std::atomic<bool> stopping{false};
    EW_TRY(const auto jobs,
           jobs::open_sqlite_job_store(config.state_dir + "/jobs.db", system_clock()));
    EW_TRY(const auto catalog,
           catalog::open_sqlite_catalog_store(config.state_dir + "/catalog.db", system_clock()));
    EW_TRY(const auto files, open_export_store(config, current, *jobs, stopping));
    const exports::ExportDeps deps{
        &system_clock(), jobs.get(), &catalog->reader(), files.get(), config.state_dir + "/tmp",
        version,         {}};
    exports::FsckOptions options;
    options.hashes = hashes;
    options.orphan_grace = config.exports.orphan_grace;
    return exports::check_exports(deps, options, stopping, [](const exports::FsckReport&) {});
}

void print_fsck(const exports::FsckReport& report) {
    for (const exports::FsckProblem& problem : report.listed)
        std::printf("%s  %s  %s\n", problem.problem.c_str(), escape_controls(problem.key).c_str(),
                    escape_controls(problem.detail).c_str());
    std::printf("fsck: %lld files checked, %lld bytes read, %lld problems%s\n",
                static_cast<long long>(report.files), static_cast<long long>(report.hashed_bytes),
                static_cast<long long>(report.problems),
                report.problems == 0
                    ? ""
                    : "; nothing was changed: start the daemon, then exportctl fsck --apply");
}

void print(const RestoreCommand& command, const std::string& state_dir,
           const BackupManifest& manifest, const FinishedRestore& done) {
    std::printf("restored %zu files of %s (version %s, made %s) into %s\n", manifest.files.size(),
                escape_controls(command.backup).c_str(), escape_controls(manifest.version).c_str(),
                escape_controls(manifest.created_at).c_str(), state_dir.c_str());
    if (!done.before.empty()) std::printf("what was there before is in %s\n", done.before.c_str());
}

int complain(const RestoreCommand& command, const std::string& what, int status) {
    if (command.as_json) {
        const char* const code = status == kExitConfig ? "bad_configuration" : "refused";
        const json error = {{"code", code}, {"message", what}, {"status", status}};
        std::fprintf(stderr, "%s\n", escape_controls(dump_json({{"error", error}})).c_str());
    } else {
        std::fprintf(stderr, "export-workerd: restore: %s\n", escape_controls(what).c_str());
    }
    return status;
}

// A backup is made while a daemon runs; the next start must not take that for a crash.
Result<void> end_last_run(const std::string& state_dir) {
    auto history = plugins::History::open_existing(state_dir + "/plugins.db", system_clock());
    if (history) return (*history)->end_run();
    // An older version made it, or the backup has none: the next start says so.
    const ErrorCode code = history.error().code;
    if (code == ErrorCode::kNotFound || code == ErrorCode::kFailedPrecondition) return {};
    return fail(std::move(history.error()));
}

// "0.2" of "0.2.1": the last part grows for corrections, which restore each other's backups.
std::optional<std::array<std::uint64_t, 2>> release_of(std::string_view version) {
    const std::size_t dot = version.find('.');
    if (dot == std::string_view::npos) return std::nullopt;
    const std::string_view rest = version.substr(dot + 1);
    const auto major = parse_unsigned(version.substr(0, dot));
    const auto minor = parse_unsigned(rest.substr(0, rest.find_first_not_of("0123456789")));
    if (!major || !minor) return std::nullopt;
    return std::array{*major, *minor};
}

Result<void> check_version(const std::string& of_backup, const std::string& own) {
    const auto made_by = release_of(of_backup);
    if (made_by && *made_by <= *release_of(own)) return {};
    return fail(ErrorCode::kFailedPrecondition,
                "expected a backup of version " + own + " or older, found one of " +
                    printable(of_backup) + "; install that version first");
}

struct Restored {
    FileLock lock;
    BackupManifest manifest;
    FinishedRestore done;
};

Result<Restored> restore(const RestoreCommand& command, const std::string& state_dir,
                         const std::string& version) {
    EW_TRY(const StateOwner owner, owner_of(state_dir));
    EW_TRY(const OpenBackup backup, OpenBackup::open(command.backup, owner.uid));
    EW_CHECK(check_version(backup.manifest().version, version));
    EW_CHECK(become(owner));
    EW_TRY(FileLock lock, FileLock::acquire(state_dir + "/lock"));
    EW_TRY(const FinishedRestore earlier, finish_restore(state_dir, system_clock()));
    if (earlier.was_staged)
        log_warn("a restore that was interrupted is finished; what was there before it: {}",
                 earlier.before);
    EW_CHECK(check_free(state_dir, command.force));
    EW_CHECK(stage_restore(backup, state_dir));
    EW_TRY(FinishedRestore done, finish_restore(state_dir, system_clock()));
    EW_CHECK(end_last_run(state_dir));
    return Restored{std::move(lock), backup.manifest(), std::move(done)};
}

int show(const RestoreCommand& command, const config::Config& config, const Restored& restored,
         const std::optional<Result<exports::FsckReport>>& fsck) {
    const bool has_report = fsck && *fsck;
    if (command.as_json) {
        json out = parse_json(encode_backup_manifest(restored.manifest));
        out["state_dir"] = config.state_dir;
        out["before"] = restored.done.before.empty() ? json() : json(restored.done.before);
        out["fsck"] = has_report ? control::fsck_json(**fsck) : json();
        std::printf("%s\n", dump_json(out).c_str());
    } else {
        print(command, config.state_dir, restored.manifest, restored.done);
        if (has_report) print_fsck(**fsck);
        if (!fsck) std::printf("fsck: not run: [export] workers = 0\n");
    }
    if (fsck && !*fsck)
        return complain(command,
                        "the state is restored, but fsck failed: " + fsck->error().message +
                            "; run exportctl fsck once the daemon runs",
                        kExitRefused);
    return has_report && (*fsck)->problems > 0 ? kExitBadData : 0;
}

}  // namespace

int run_restore(const RestoreCommand& command, const std::string& version) {
    const auto config = config::read_config(command.config_path);
    if (!config) return complain(command, config.error().message, kExitConfig);
    if (auto log = init_log("warn", config->log_format); !log)
        return complain(command, log.error().message, kExitConfig);
    const auto restored = restore(command, config->state_dir, version);
    if (!restored) return complain(command, restored.error().message, kExitRefused);
    std::optional<Result<exports::FsckReport>> fsck;
    if (config->exports.workers > 0) fsck = check_exports(*config, version, command.hashes);
    return show(command, *config, *restored, fsck);
}

}  // namespace export_worker::app
