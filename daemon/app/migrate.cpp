#include "daemon/app/migrate.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string_view>

#include "base/clock.hpp"
#include "base/file_lock.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/app/databases.hpp"
#include "daemon/app/first_start.hpp"
#include "daemon/app/limits.hpp"
#include "daemon/app/state_owner.hpp"
#include "daemon/app/upload_store.hpp"
#include "daemon/config/config.hpp"
#include "daemon/migration/move.hpp"
#include "daemon/migration/move_files.hpp"

namespace export_worker::app {
namespace {

using nlohmann::json;

constexpr int kExitRefused = 1;
constexpr int kExitBadData = 65;
constexpr int kExitConfig = 78;

int complain(const MigrateCommand& command, const std::string& what, int status) {
    if (command.as_json) {
        const char* const code = status == kExitConfig    ? "bad_configuration"
                                 : status == kExitBadData ? "bad_data"
                                                          : "refused";
        const json error = {{"code", code}, {"message", what}, {"status", status}};
        std::fprintf(stderr, "%s\n", escape_controls(dump_json({{"error", error}})).c_str());
    } else {
        std::fprintf(stderr, "export-workerd: migrate: %s\n", escape_controls(what).c_str());
    }
    return status;
}

// At most one line in kMigrateProgressPause, and none for programs.
class Progress {
public:
    explicit Progress(bool is_quiet) : is_quiet_(is_quiet) {}

    void rows(const char* what, const char* table, std::int64_t rows) {
        if (is_due())
            std::fprintf(stderr, "%s %lld rows of %s\n", what, static_cast<long long>(rows), table);
    }
    void files(const migration::FilesReport& report) {
        if (is_due())
            std::fprintf(stderr, "moved %lld files, %lld bytes\n",
                         static_cast<long long>(report.files),
                         static_cast<long long>(report.bytes));
    }

private:
    bool is_due() {
        const SteadyTime now = std::chrono::steady_clock::now();
        if (is_quiet_ || now < next_) return false;
        next_ = now + limits::kMigrateProgressPause;
        return true;
    }

    const bool is_quiet_;
    SteadyTime next_{};
};

struct Done {
    std::optional<migration::MoveReport> move;
    std::optional<migration::UndoReport> undo;
    std::optional<migration::FilesReport> files;
};

json json_of(const migration::MoveReport& move) {
    json tables = json::array();
    for (const migration::TableDigest& each : move.tables)
        tables.push_back({{"table", each.table}, {"rows", each.rows}, {"sha256", each.sha256}});
    return {{"registry_id", move.registry_id},
            {"was_done", move.was_done},
            {"tables", tables},
            {"replaced_texts", move.replaced},
            {"running_jobs", move.running}};
}

json json_of(const migration::FilesReport& files) {
    json left = json::array();
    for (const migration::LeftFile& each : files.listed)
        left.push_back(
            {{"job_id", each.job_id}, {"file_url", each.file_url}, {"reason", each.reason}});
    return {{"files", files.files}, {"bytes", files.bytes}, {"left", files.left}, {"listed", left}};
}

void print(const migration::MoveReport& move, const MigrateCommand& command) {
    std::size_t width = std::string_view("table").size();
    for (const auto& each : move.tables) width = std::max(width, each.table.size());
    std::printf("%-*s  %12s  %s\n", static_cast<int>(width), "table", "rows",
                "SHA-256 of both sides");
    for (const auto& each : move.tables)
        std::printf("%-*s  %12lld  %s\n", static_cast<int>(width), each.table.c_str(),
                    static_cast<long long>(each.rows), each.sha256.c_str());
    std::printf("registry %s %s\n", move.registry_id.c_str(),
                move.was_done ? "was moved to PostgreSQL before" : "moved to PostgreSQL");
    if (move.replaced > 0)
        std::printf("%lld texts had bytes that PostgreSQL cannot store; they are U+FFFD there\n",
                    static_cast<long long>(move.replaced));
    if (move.running > 0)
        std::printf("jobs that were running: %lld; the next daemon puts them back\n",
                    static_cast<long long>(move.running));
    std::printf("the files of %s stay, and no daemon starts on them\n", command.state_dir.c_str());
}

void print(const migration::FilesReport& files) {
    for (const migration::LeftFile& each : files.listed)
        std::printf("left  %s  %s  %s\n", each.job_id.c_str(),
                    escape_controls(each.file_url).c_str(), escape_controls(each.reason).c_str());
    std::printf("%lld files moved, %lld bytes; %lld left\n", static_cast<long long>(files.files),
                static_cast<long long>(files.bytes), static_cast<long long>(files.left));
}

int show(const MigrateCommand& command, const Done& done) {
    const bool has_left = done.files && done.files->left > 0;
    if (command.as_json) {
        json out = {{"state_dir", command.state_dir}};
        if (done.move) out["move"] = json_of(*done.move);
        if (done.undo) out["undone"] = done.undo->registry_id;
        if (done.files) out["files"] = json_of(*done.files);
        std::printf("%s\n", dump_json(out).c_str());
    } else {
        if (done.move) print(*done.move, command);
        if (done.undo)
            std::printf("registry %s: the files of %s serve again, the schema is empty\n",
                        done.undo->registry_id.c_str(), command.state_dir.c_str());
        if (done.files) print(*done.files);
    }
    return has_left ? kExitBadData : 0;
}

Result<migration::FilesReport> move_files(const config::Config& config, Progress& progress) {
    EW_TRY(const std::shared_ptr<credentials::CredentialStore> credentials,
           credentials::CredentialStore::load(config.stores));
    const CurrentCredentials current(credentials);
    const std::atomic<bool> stopping{false};
    EW_TRY(const auto store, open_object_store(config, current, stopping));
    return migration::move_files(
        database_options_of(config), *store,
        [&](const migration::FilesReport& report) { progress.files(report); });
}

migration::MoveRequest request_of(const MigrateCommand& command, const config::Config& config,
                                  Progress& progress) {
    return {command.state_dir, moved_mark_of(command.state_dir), direct_options_of(config).connect,
            &system_clock(), [&](const char* what, const char* table, std::int64_t rows) {
                progress.rows(what, table, rows);
            }};
}

// Daemons on PostgreSQL may run by now, in this directory, too: only files are left to move.
Result<bool> moves_files_alone(const MigrateCommand& command) {
    if (!command.files || command.undo) return false;
    return migration::is_moved(command.state_dir, moved_mark_of(command.state_dir));
}

Result<Done> migrate(const MigrateCommand& command, const config::Config& config) {
    EW_TRY(const StateOwner owner, owner_of(command.state_dir));
    EW_CHECK(become(owner));
    Progress progress(command.as_json);
    Done out;
    EW_TRY(const bool is_moved, moves_files_alone(command));
    if (!is_moved) {
        EW_TRY(const FileLock lock, FileLock::acquire(command.state_dir + "/lock"));
        const migration::MoveRequest request = request_of(command, config, progress);
        if (command.undo) {
            EW_TRY(out.undo, migration::undo_move(request));
            return out;
        }
        EW_TRY(out.move, migration::move_to_postgres(request));
    }
    if (!command.files) return out;
    EW_TRY(const FileLock lock, FileLock::acquire(command.state_dir + "/moving-files"));
    EW_TRY(out.files, move_files(config, progress));
    return out;
}

}  // namespace

int run_migrate(const MigrateCommand& command) {
    const auto config = config::read_config(command.config_path);
    if (!config) return complain(command, config.error().message, kExitConfig);
    if (!config->database.is_shared)
        return complain(command,
                        command.config_path +
                            ": [database] kind: expected postgres, found sqlite; name the "
                            "configuration that the daemons will have",
                        kExitConfig);
    if (auto log = init_log("warn", config->log_format); !log)
        return complain(command, log.error().message, kExitConfig);
    const auto done = migrate(command, *config);
    if (done) return show(command, *done);
    const bool is_damage = done.error().code == ErrorCode::kDataLoss;
    return complain(command, done.error().message, is_damage ? kExitBadData : kExitRefused);
}

}  // namespace export_worker::app
