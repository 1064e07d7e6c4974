// backup, restore, migrate.
#include <chrono>
#include <thread>

#include "base/base64.hpp"
#include "base/json.hpp"
#include "exportctl/backup_directory.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/control_client.hpp"
#include "exportctl/daemon_program.hpp"
#include "exportctl/input.hpp"
#include "exportctl/interrupt.hpp"
#include "exportctl/limits.hpp"
#include "exportctl/output.hpp"
#include "exportctl/progress.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
using options::Arguments;

template <typename T>
using Answer = tl::expected<T, message::WireError>;

// An error of this program among those of the daemon, with its whole text.
Answer<void> own(const Result<void>& done) {
    if (done) return {};
    message::WireError out = message::from_error(done.error());
    out.message = done.error().message;
    return tl::unexpected(std::move(out));
}

tl::unexpected<message::WireError> unreadable(const std::string& what) {
    return tl::unexpected(message::make_error(
        message::WireCode::kInternal,
        "the daemon sent a bad answer: " + what + "; use the exportctl of its version"));
}

// Fetches one backup, piece by piece: memory for one piece is all it takes.
class Fetch {
public:
    Fetch(ControlClient& client, BackupDirectory& to, bool quiet)
        : client_(client), to_(to), bar_(quiet) {}

    [[nodiscard]] Answer<BackupManifest> run() {
        const auto begun = begin();
        if (!begun) return tl::unexpected(begun.error());
        id_ = (*begun)["id"].get<std::string>();
        EW_CHECK(wait_for_copies());
        EW_TRY(const BackupManifest manifest, read_manifest());
        for (const BackupFile& file : manifest.files) EW_CHECK(fetch_file(manifest, file));
        EW_CHECK(own(to_.commit(manifest)));
        return manifest;
    }
    // The daemon deletes its copies. Without it, it does so by itself after a while.
    void end() {
        const InterruptGuard guard;
        if (!id_.empty())
            (void)client_.call("control.backup_end", {{"id", id_}}, {}, std::chrono::seconds(5));
    }

private:
    [[nodiscard]] Answer<json> begin() {
        const auto end = std::chrono::steady_clock::now() + limits::kBackupBeginTimeout;
        for (;;) {
            auto begun = client_.call("control.backup_begin", json::object());
            const bool is_busy = !begun && begun.error().code == message::WireCode::kConflict;
            if (!is_busy || interrupted() || std::chrono::steady_clock::now() >= end) return begun;
            bar_.update(0, 0, "another backup ends");
            std::this_thread::sleep_for(limits::kBackupBeginPause);
        }
    }
    [[nodiscard]] Answer<void> wait_for_copies() {
        for (;;) {
            const auto state = client_.call("control.task", json::object());
            if (!state) return tl::unexpected(state.error());
            // This one has ended when another task has begun.
            if (!state->is_object() || (*state)["name"] != "backup") return {};
            if (state->contains("error"))
                return tl::unexpected(message::make_error(
                    message::WireCode::kInternal, (*state)["error"]["message"].get<std::string>()));
            if ((*state)["running"] == false) return {};
            bar_.update(0, 0, "the daemon copies " + cell((*state)["progress"].value("file", "")));
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
        }
    }
    [[nodiscard]] Answer<BackupManifest> read_manifest() {
        const auto answer = client_.call("control.backup_manifest", {{"id", id_}});
        if (!answer) return tl::unexpected(answer.error());
        auto manifest = parse_backup_manifest(dump_json((*answer)["manifest"]));
        if (!manifest) return unreadable(manifest.error().message);
        return std::move(*manifest);
    }
    [[nodiscard]] Answer<void> fetch_file(const BackupManifest& manifest, const BackupFile& file) {
        EW_CHECK(own(to_.begin_file(file)));
        for (std::int64_t offset = 0; offset < file.bytes;) {
            const auto answer = client_.call(
                "control.backup_read", {{"id", id_}, {"name", file.name}, {"offset", offset}});
            if (!answer) return tl::unexpected(answer.error());
            const auto piece = from_base64((*answer)["base64"].get_ref<const std::string&>());
            if (!piece || piece->empty()) return unreadable("no bytes of " + file.name);
            EW_CHECK(own(to_.append(*piece)));
            offset += static_cast<std::int64_t>(piece->size());
            fetched_ += static_cast<std::int64_t>(piece->size());
            bar_.update(fetched_, manifest.bytes(), file.name);
        }
        return own(to_.end_file());
    }

    ControlClient& client_;
    BackupDirectory& to_;
    ProgressBar bar_;
    std::string id_;
    std::int64_t fetched_ = 0;
};

void show_backup(const Context& context, const std::string& directory,
                 const BackupManifest& manifest) {
    if (context.json) {
        json out = parse_json(encode_backup_manifest(manifest));
        out["directory"] = directory;
        return print_json(out);
    }
    const std::size_t plugin_files = manifest.files.size() - kBackupDatabases.size();
    print_line("backup of jobs.db, catalog.db, auth.db, plugins.db and " +
               std::to_string(plugin_files) + " plugin files written to " + directory + " (" +
               std::to_string(manifest.bytes()) + " bytes)");
}

// Fetches a backup into `directory`, which keeps nothing of it otherwise.
int fetch_backup(const Context& context, ControlClient& client, BackupDirectory directory,
                 const std::string& path) {
    Fetch fetch(client, directory, context.json);
    Answer<BackupManifest> manifest;
    bool was_interrupted = false;
    {
        const InterruptGuard guard;
        manifest = fetch.run();
        was_interrupted = interrupted();
    }
    fetch.end();
    if (manifest) {
        show_backup(context, path, *manifest);
        return kExitOk;
    }
    if (was_interrupted)
        return complain(kExitInterrupted, "interrupted; nothing was kept in " + path);
    message::WireError error = manifest.error();
    error.message += "; nothing was kept in " + path;
    return complain(error);
}

}  // namespace

int run_backup(const Context& context, const Arguments& arguments) {
    const auto path = absolute_path(arguments.words[0], "backup");
    if (!path) return path.error();
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    auto directory = BackupDirectory::create(*path);
    if (!directory) return complain(kExitRefused, directory.error().message);
    return fetch_backup(context, *client, std::move(*directory), *path);
}

int run_restore(const Context& context, const Arguments& arguments) {
    if (arguments.words[0].empty())
        return complain(kExitUsage, "restore: expected a path, found none");
    std::vector<std::string> words{"--restore", arguments.words[0], "--config",
                                   context.config_path};
    for (const char* flag : {"force", "no-hashes"}) {
        if (arguments.has(flag)) words.push_back("--" + std::string(flag));
    }
    return run_daemon_program(context, arguments, std::move(words));
}

int run_migrate(const Context& context, const Arguments& arguments) {
    if (arguments.get("from").empty())
        return complain(kExitUsage, "migrate: --from: expected a path, found none");
    std::vector<std::string> words{"--migrate", arguments.get("from"), "--config",
                                   context.config_path};
    for (const char* flag : {"undo", "files"}) {
        if (arguments.has(flag)) words.push_back("--" + std::string(flag));
    }
    return run_daemon_program(context, arguments, std::move(words));
}

}  // namespace export_worker::exportctl
