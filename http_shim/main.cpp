// export-httpd. Exit status: 0 after a signal, 64 wrong command line, 75 a start that may succeed
// when it is tried again, 78 a start that fails until an operator changes something.
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <utility>

#include "base/exit_status.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/options/arguments.hpp"
#include "base/options/check_command.hpp"
#include "base/options/config_file.hpp"
#include "base/process.hpp"
#include "http_shim/check_config.hpp"
#include "http_shim/config.hpp"
#include "http_shim/listener.hpp"

namespace {

using export_worker::options::CheckExtent;
using export_worker::options::Flag;

using export_worker::kExitUsage;

constexpr std::array<Flag, 5> kFlags{
    {{"config", "FILE", "the configuration; export-worker.ini(5) explains its keys"},
     {"check-config", nullptr,
      "read it, open what it names, say what stands in the way of a start, and exit; as the user "
      "of export-httpd"},
     {"check-syntax", nullptr,
      "read it and its key files, say whether they can be understood, and exit"},
     {"version", nullptr, "print the version"},
     {"help", nullptr, "print this"}}};

int start_failed(const export_worker::Error& error) {
    std::fprintf(stderr, "export-httpd: cannot start: %s\n", error.message.c_str());
    return export_worker::start_exit_status(error.code);
}

int check(const std::string& config_path, CheckExtent extent) {
    using Config = export_worker::http_shim::Config;
    return export_worker::options::run_check<Config>(
        config_path, extent,
        {"export-httpd", export_worker::http_shim::read_config,
         export_worker::http_shim::check_config, start_failed});
}

// Until the listener has a handler: a SIGHUP during the start must not end it.
void block_hangup() {
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    ::pthread_sigmask(SIG_BLOCK, &hangup, nullptr);
}

int run(const std::string& config_path) {
    block_hangup();
    const auto config = export_worker::http_shim::read_config(config_path);
    if (!config) return start_failed(config.error());
    if (auto log = export_worker::init_log(config->log_level, config->log_format); !log)
        return start_failed(log.error());
    if (auto raised = export_worker::raise_descriptor_limit(export_worker::limits::kDescriptorsMin);
        !raised)
        return start_failed(raised.error());
    export_worker::forbid_core_files();
    if (auto served = export_worker::http_shim::run_http(*config, EXPORT_WORKER_VERSION); !served)
        return start_failed(served.error());
    return 0;
}

int run_main(int argc, char** argv) {
    ::umask(077);  // Whatever others may open is given its mode where it is made.
    const auto arguments = export_worker::options::parse_arguments(
        export_worker::options::words_of(argc, argv), kFlags);
    if (!arguments || !arguments->words.empty()) {
        std::fprintf(stderr, "export-httpd: %s; see --help\n",
                     arguments ? "expected flags only" : arguments.error().message.c_str());
        return kExitUsage;
    }
    if (arguments->has("help")) {
        std::printf("Usage: export-httpd --config FILE\n\n%s",
                    export_worker::options::describe_flags(kFlags).c_str());
        return 0;
    }
    if (arguments->has("version")) {
        std::printf("export-httpd %s\n", EXPORT_WORKER_VERSION);
        return 0;
    }
    if (!arguments->has("config")) {
        std::fprintf(stderr, "export-httpd: expected --config FILE; see --help\n");
        return kExitUsage;
    }
    const std::string config_path = arguments->get("config");
    if (arguments->has("check-config")) return check(config_path, CheckExtent::kConfig);
    if (arguments->has("check-syntax")) return check(config_path, CheckExtent::kSyntax);
    return run(config_path);
}

}  // namespace

int main(int argc, char** argv) {
    return export_worker::options::run_program("export-httpd",
                                               [&] { return run_main(argc, argv); });
}
