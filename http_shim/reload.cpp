#include "http_shim/reload.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/io.hpp"
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

std::vector<downloads::DownloadRoot>::const_iterator find_download(const Config& config,
                                                                   const std::string& name) {
    return std::ranges::find(config.downloads, name, &downloads::DownloadRoot::name);
}

// Links that work now would end with 410 or 503.
Result<void> check_roots(const Config& now, const Config& next) {
    for (const downloads::DownloadRoot& download : next.downloads) {
        const auto served = find_download(now, download.name);
        const bool is_moved = served != now.downloads.end() && served->root != download.root;
        const auto checked = check_directory(download.root, is_moved);
        if (!checked)
            return fail(checked.error().code,
                        "[store." + download.name + "] root: " + checked.error().message);
    }
    return {};
}

// Exports go on to where they went, so their links are served from there.
void keep_export_root(const SessionDeps& deps, Config& next) {
    const std::string name = options::export_store_of(deps.started_with);
    const auto kept = find_download(deps.config, name);
    if (kept == deps.config.downloads.end() ||
        !options::has_moved(deps.started_with, next.values, name))
        return;
    std::erase_if(next.downloads, [&](const auto& each) { return each.name == name; });
    next.downloads.push_back(*kept);
    log_warn("configuration: [store.{}] stays as it was until a restart: exports go there", name);
}

Result<void> take_over(Result<Config> next, SessionDeps& deps) {
    if (!next) return fail(std::move(next).error());
    keep_export_root(deps, *next);
    EW_CHECK(check_roots(deps.config, *next));
    EW_CHECK(set_log_level(next->log_level));
    for (const std::string& key :
         options::waiting_for_restart(options::Program::kShim, deps.started_with, next->values,
                                      options::export_store_of(deps.started_with)))
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
