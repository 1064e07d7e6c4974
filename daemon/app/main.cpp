// export-workerd. Exit status: 0 after a signal, 1 refused (--check-plugin, --quarantine-lift,
// --restore, --migrate), 64 wrong command line, 65 --restore has found problems of exports or
// --migrate has left some, 70 after a signal
// if a plugin was in the way of an orderly end, 75 a start that may succeed when it is tried again,
// 78 a start that fails until an operator changes something.
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <utility>

#include "base/exit_status.hpp"
#include "base/log.hpp"
#include "base/options/arguments.hpp"
#include "base/options/check_command.hpp"
#include "base/options/config_file.hpp"
#include "base/service_manager/notify.hpp"
#include "daemon/app/check_config.hpp"
#include "daemon/app/check_plugin.hpp"
#include "daemon/app/daemon.hpp"
#include "daemon/app/limits.hpp"
#include "daemon/app/migrate.hpp"
#include "daemon/app/offline_quarantine.hpp"
#include "daemon/app/restore.hpp"
#include "daemon/app/store_path.hpp"
#include "daemon/plugins/probing/probe.hpp"

#if defined(EXPORT_WORKER_COVERAGE)
extern "C" void __gcov_dump();
#endif

namespace {

using export_worker::options::CheckExtent;
using export_worker::options::Flag;

using export_worker::kExitSoftware;
using export_worker::kExitUsage;
namespace service_manager = export_worker::service_manager;

constexpr std::array<Flag, 17> kFlags{
    {{"config", "FILE", "the configuration; export-worker.ini(5) explains its keys"},
     {"check-config", nullptr,
      "read it, open what it names, say what stands in the way of a start, and leave; as the user "
      "of the daemon"},
     {"check-syntax", nullptr, "read the file alone, print whether it can be understood, and exit"},
     {"check-plugin", "FILE", "print whether this plugin would be loaded, and exit"},
     {"quarantine-list", nullptr, "while no daemon runs: print the quarantined plugin files"},
     {"quarantine-lift", "HASH", "while no daemon runs: let it load this plugin file again"},
     {"restore", "DIR",
      "while no daemon runs: put this backup in place of its databases and plugin files"},
     {"force", nullptr, "with --restore: move what is there aside"},
     {"migrate", "DIR",
      "while no daemon runs: move the databases of this state directory into the PostgreSQL of "
      "--config"},
     {"undo", nullptr, "with --migrate: go back, while PostgreSQL has taken no write"},
     {"files", nullptr, "with --migrate: then move exported files into the store of exports"},
     {"no-hashes", nullptr, "with --restore: read no exported file afterwards"},
     {"state-dir", "DIR", "with --quarantine-...: the state directory, instead of --config"},
     {"json", nullptr,
      "with --check-plugin, --restore, --migrate and --quarantine-...: as one JSON object"},
     {"probe-plugin", nullptr, "internal: the child process in which the daemon tries a plugin"},
     {"version", nullptr, "print the version"},
     {"help", nullptr, "print this"}}};

int start_failed(const export_worker::Error& error) {
    std::fprintf(stderr, "export-workerd: cannot start: %s\n", error.message.c_str());
    return export_worker::start_exit_status(error.code);
}

void leave_at_once(int /*signal_number*/) {
    constexpr std::string_view kLine =
        "export-workerd: no orderly end in time, a plugin may keep a lock of the C library; "
        "leaving as after a crash\n";
    pollfd output{STDERR_FILENO, POLLOUT, 0};  // A full pipe must not hold up the end.
    if (::poll(&output, 1, 0) == 1) (void)!::write(STDERR_FILENO, kLine.data(), kLine.size());
    ::_exit(kExitSoftware);
}

// Before the daemon has any thread: each inherits the mask, so the signals come to sigwait() and
// nowhere else, and one that comes during the start waits. SIGALRM is bound_the_end()'s.
sigset_t take_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGALRM, leave_at_once);
    return signals;
}

// A signal that ends the daemon has come and waits for sigwait().
bool is_stop_pending() {
    sigset_t pending;
    sigemptyset(&pending);
    (void)sigpending(&pending);
    return sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}

// Whatever a plugin has done to the process, it ends: no thread, lock or memory is needed for it.
// Not alarm(): what a load changes of the interval timers is put back.
void bound_the_end() {
    static bool is_bound = false;
    timer_t timer{};
    if (is_bound || ::timer_create(CLOCK_MONOTONIC, nullptr, &timer) != 0) return;
    is_bound = true;
    itimerspec end{};
    end.it_value.tv_sec = export_worker::limits::kStopTimeout.count();
    (void)::timer_settime(timer, 0, &end, nullptr);
}

// SIGHUP: everything that can change while the daemon runs, or nothing.
void reload(export_worker::app::Daemon& daemon, const std::string& config_path) {
    export_worker::log_info("SIGHUP: reading {} again", config_path);
    service_manager::notify_reloading();
    const auto done = daemon.reconfigure(export_worker::config::read_config(config_path));
    if (!done) export_worker::log_error("SIGHUP: nothing has changed: {}", done.error().message);
    service_manager::notify_ready();
}

// Without handlers of exit().
[[noreturn]] void end_process(int status) {
#if defined(EXPORT_WORKER_COVERAGE)
    __gcov_dump();
#endif
    std::_Exit(status);
}

// Does not return when a plugin is stuck: its thread uses the daemon's memory, and there is no way
// to end it alone. So nothing is destroyed, no handler of exit() runs, and the log is complete:
// every line is flushed as it is written.
void stop(std::unique_ptr<export_worker::app::Daemon> daemon) {
    if (const unsigned stuck_workers = daemon->stop(); stuck_workers > 0) {
        export_worker::log_error("{} threads are stuck in a plugin; leaving without them",
                                 stuck_workers);
        end_process(kExitSoftware);
    }
    daemon.reset();
    export_worker::log_info("stopped");
}

// The images of plugins stay mapped; their static destructors have no part in an orderly end. Nor
// have the streams of the C library: the daemon writes to none, and a plugin may have locked one.
int leave(int status) {
#if !defined(EXPORT_WORKER_SANITIZED)  // Which looks for leaks in exit().
    end_process(status);
#endif
    return status;
}

int check(const std::string& config_path, CheckExtent extent) {
    using Config = export_worker::config::Config;
    return export_worker::options::run_check<Config>(
        config_path, extent,
        {"export-workerd", export_worker::config::read_config, export_worker::app::check_config,
         start_failed});
}

// Until a signal ends it; one that comes during the start ends that.
int serve(const export_worker::config::Config& config, const std::string& config_path,
          const sigset_t& signals) {
    const auto is_cancelled = [] {
        const bool cancelled = is_stop_pending();
        if (cancelled) bound_the_end();
        return cancelled;
    };
    auto daemon = export_worker::app::Daemon::start(config, EXPORT_WORKER_VERSION, is_cancelled);
    if (!daemon && daemon.error().code == export_worker::ErrorCode::kCancelled) {
        export_worker::log_info("stopped during the start");
        return leave(0);
    }
    if (!daemon) return leave(start_failed(daemon.error()));
    export_worker::log_info("ready: data on {}, control on {}", config.data_endpoint,
                            config.control_endpoint);
    service_manager::notify_ready();
    int signal_number = 0;
    for (;;) {
        sigwait(&signals, &signal_number);
        if (signal_number != SIGHUP) break;
        reload(**daemon, config_path);
    }
    export_worker::log_info("signal {}: stopping", signal_number);
    bound_the_end();
    service_manager::notify_stopping();
    stop(std::move(*daemon));
    return leave(0);
}

int run(const std::string& config_path) {
    const sigset_t signals = take_signals();  // First: a SIGHUP ends nothing, however early.
    const auto config = export_worker::config::read_config(config_path);
    if (!config) return start_failed(config.error());
    if (auto log = export_worker::init_log(config->log_level, config->log_format); !log)
        return start_failed(log.error());
    return serve(*config, config_path, signals);
}

int quarantine(const export_worker::options::Arguments& arguments) {
    if (!arguments.has("state-dir") && !arguments.has("config")) {
        std::fprintf(stderr, "export-workerd: expected --state-dir DIR or --config FILE\n");
        return kExitUsage;
    }
    export_worker::app::QuarantineCommand command;
    command.state_dir = arguments.get("state-dir");
    command.config_path = arguments.get("config");
    command.as_json = arguments.has("json");
    if (arguments.has("quarantine-lift")) command.lift = arguments.get("quarantine-lift");
    return export_worker::app::run_quarantine(command);
}

int run_main(int argc, char** argv) {
    ::umask(077);  // Whatever others may open is given its mode where it is made.
    const auto arguments = export_worker::options::parse_arguments(
        export_worker::options::words_of(argc, argv), kFlags);
    if (!arguments || !arguments->words.empty()) {
        std::fprintf(stderr, "export-workerd: %s; see --help\n",
                     arguments ? "expected flags only" : arguments.error().message.c_str());
        return kExitUsage;
    }
    if (arguments->has("help")) {
        std::printf("Usage: export-workerd --config FILE\n\n%s",
                    export_worker::options::describe_flags(kFlags).c_str());
        return 0;
    }
    if (arguments->has("version")) {
        std::printf("export-workerd %s\n", EXPORT_WORKER_VERSION);
        return 0;
    }
    if (arguments->has("check-plugin")) {
        if (arguments->get("check-plugin").empty()) {
            std::fprintf(stderr, "export-workerd: --check-plugin: expected a path, found none\n");
            return kExitUsage;
        }
        return export_worker::app::check_plugin(arguments->get("check-plugin"),
                                                arguments->get("config"), arguments->has("json"));
    }
    if (arguments->has("quarantine-list") || arguments->has("quarantine-lift"))
        return quarantine(*arguments);
    if (arguments->has("probe-plugin")) return export_worker::plugins::run_probe_child();
    if (!arguments->has("config")) {
        std::fprintf(stderr, "export-workerd: expected --config FILE; see --help\n");
        return kExitUsage;
    }
    if (arguments->has("restore")) {
        return export_worker::app::run_restore(
            {arguments->get("config"), arguments->get("restore"), arguments->has("force"),
             !arguments->has("no-hashes"), arguments->has("json")},
            EXPORT_WORKER_VERSION);
    }
    if (arguments->has("migrate")) {
        return export_worker::app::run_migrate({arguments->get("config"), arguments->get("migrate"),
                                                arguments->has("undo"), arguments->has("files"),
                                                arguments->has("json")});
    }
    const std::string config_path = arguments->get("config");
    if (arguments->has("check-config")) return check(config_path, CheckExtent::kConfig);
    if (arguments->has("check-syntax")) return check(config_path, CheckExtent::kSyntax);
    return run(config_path);
}

}  // namespace

int main(int argc, char** argv) {
    return export_worker::options::run_program("export-workerd",
                                               [&] { return run_main(argc, argv); });
}
