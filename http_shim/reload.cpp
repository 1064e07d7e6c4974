#include "http_shim/reload.hpp"

#include <sys/stat.h>

#include <string>
#include <utility>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "base/options/config_keys.hpp"

namespace export_worker::http_shim {
namespace {

// A limiter that stays keeps what it knows of its callers.
void take_over_rates(const Config& next, SessionDeps& deps) {
    const Config& now = deps.config;
    if (next.address_rate != now.address_rate || next.address_burst != now.address_burst)
        deps.by_address = RateLimiter(next.address_rate, next.address_burst);
    if (next.credential_rate != now.credential_rate ||
        next.credential_burst != now.credential_burst)
        deps.by_credential = RateLimiter(next.credential_rate, next.credential_burst);
    deps.connections.set_per_address_max(next.address_connections_max);
}

// Links that work now would end with 410 or 503.
Result<void> check_roots(const Config& next) {
    for (const downloads::DownloadRoot& download : next.downloads) {
        const std::string where = "[store." + download.name + "] root: ";
        if (!download.root.starts_with('/'))
            return fail(ErrorCode::kInvalidArgument,
                        where + "expected an absolute path, found " + download.root);
        struct stat info {};
        if (::stat(download.root.c_str(), &info) == 0 && !S_ISDIR(info.st_mode))
            return fail(ErrorCode::kFailedPrecondition,
                        where + "expected a directory, found a file: " + download.root);
    }
    return {};
}

Result<void> take_over(Result<Config> next, SessionDeps& deps) {
    if (!next) return fail(std::move(next).error());
    EW_CHECK(check_roots(*next));
    EW_CHECK(set_log_level(next->log_level));
    for (const std::string& key :
         options::waiting_for_restart(options::Program::kShim, deps.started_with, next->values, ""))
        log_warn("configuration: {} has changed; that needs a restart", key);
    take_over_rates(*next, deps);
    deps.config = std::move(*next);
    return {};
}

}  // namespace

void reload(SessionDeps& deps) {
    const std::string path = deps.config.path;
    log_info("SIGHUP: reading {} again", path);
    const auto done = take_over(read_config(path), deps);
    deps.metrics.configuration_good = done.has_value();
    if (!done) return log_error("SIGHUP: nothing has changed: {}", done.error().message);
    deps.metrics.configured_unix_s = system_clock().unix_us() / 1'000'000;
    log_info("SIGHUP: done");
}

}  // namespace export_worker::http_shim
