#include "daemon/app/offline_quarantine.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/io.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/user_name.hpp"
#include "daemon/config/config.hpp"
#include "daemon/control/audit.hpp"
#include "daemon/control/params.hpp"
#include "daemon/control/plugin_methods.hpp"
#include "daemon/plugins/lifecycle/quarantine.hpp"
#include "protocol/message/reply.hpp"

namespace export_worker::app {
namespace {

using nlohmann::json;
using plugins::Quarantined;

constexpr int kExitRefused = 1;
constexpr int kExitConfig = 78;

// What another user writes here, the daemon could not open.
Result<void> check_owner(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
        const int number = errno;
        const Error error = errno_error("stat " + path, number);
        return fail(error.code,
                    error.message +
                        (number == EACCES
                             ? "; run this as the user of the daemon"
                             : "; expected the state directory of a daemon that has run: correct "
                               "--state-dir, or [daemon] state_dir in --config"));
    }
    if (!S_ISREG(info.st_mode))
        return fail(ErrorCode::kFailedPrecondition, path + ": expected a regular file");
    if (info.st_uid == ::geteuid()) return {};
    return fail(ErrorCode::kFailedPrecondition,
                path + ": expected a file of the user that runs this (" + user_name(::geteuid()) +
                    "), found one of " + user_name(info.st_uid) + "; run this as " +
                    user_name(info.st_uid));
}

Result<config::Config> read_settings(const QuarantineCommand& command) {
    config::Config settings;
    if (command.state_dir.empty()) {
        EW_TRY(settings, config::read_config(command.config_path));
        EW_CHECK(init_log(settings.log_level, settings.log_format));
    } else {
        settings.state_dir = command.state_dir;
        EW_CHECK(init_log("info"));
    }
    return settings;
}

Result<json> list(plugins::History& history) {
    EW_TRY(const std::vector<Quarantined> files, history.all_quarantined());
    json items = json::array();
    for (const Quarantined& file : files) items.push_back(control::quarantined_json(file));
    return json{{"items", std::move(items)}};
}

Result<json> perform(const QuarantineCommand& command, const std::string& state_dir) {
    EW_TRY(const OfflineHistory opened, open_offline_history(state_dir));
    if (!command.lift) return list(*opened.history);
    EW_TRY(const Quarantined file,
           plugins::lift_quarantine(*opened.history, *command.lift,
                                    "offline, by uid " + std::to_string(::getuid())));
    return control::quarantined_json(file);
}

void audit(const QuarantineCommand& command, const Result<json>& done, SteadyTime since) {
    message::Request request;
    request.method =
        command.lift ? "control.plugin_quarantine_lift" : "control.plugin_quarantine_list";
    std::string reply;
    if (done) {
        message::encode_result(reply, "offline", dump_msgpack(*done), nullptr);
    } else {
        message::encode_error(reply, "offline", message::from_error(done.error()), nullptr);
    }
    const json params = command.lift ? json{{"sha256", *command.lift}} : json::object();
    control::write_audit_line({{static_cast<std::int64_t>(::getuid()), ::getpid()},
                               &request,
                               reply,
                               system_clock().steady() - since},
                              params);
}

void print_file(const char* what, const json& file) {
    const auto text = [&](const char* name) {
        return escape_controls(file[name].get_ref<const std::string&>());
    };
    const std::string version = text("version");
    std::printf("%s %s (%s%s%s) at %s: %s\n", what, text("sha256").substr(0, 16).c_str(),
                text("plugin").c_str(), version.empty() ? "" : " ", version.c_str(),
                text("at").c_str(), text("reason").c_str());
}

void print(const QuarantineCommand& command, const json& done) {
    if (command.as_json) {
        std::printf("%s\n", dump_json(done).c_str());
    } else if (command.lift) {
        print_file("lifted", done);
        std::printf("the next start of the daemon tries the file again\n");
    } else {
        for (const json& file : done["items"]) print_file("quarantined", file);
        if (done["items"].empty()) std::printf("no file is quarantined\n");
    }
}

int complain(const Error& error, int status) {
    std::fprintf(stderr, "export-workerd: quarantine: %s\n",
                 escape_controls(error.message).c_str());
    return status;
}

}  // namespace

Result<OfflineHistory> open_offline_history(const std::string& state_dir) {
    const std::string path = state_dir + "/plugins.db";
    EW_CHECK(check_owner(path));
    EW_CHECK(check_unshared(state_dir));
    auto lock = FileLock::acquire(state_dir + "/lock");
    if (!lock) {
        return fail(lock.error().code,
                    lock.error().message + "; while the daemon runs: leave --offline out");
    }
    EW_TRY(auto history, plugins::History::open_existing(path, system_clock()));
    return OfflineHistory{std::move(*lock), std::move(history)};
}

int run_quarantine(const QuarantineCommand& command) {
    const auto settings = read_settings(command);
    if (!settings) return complain(settings.error(), kExitConfig);
    const SteadyTime since = system_clock().steady();
    const Result<json> done = perform(command, settings->state_dir);
    audit(command, done, since);
    if (!done) return complain(done.error(), kExitRefused);
    print(command, *done);
    return 0;
}

}  // namespace export_worker::app
