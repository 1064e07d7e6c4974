#include "daemon/server/stuck_requests.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"

namespace export_worker::server {
namespace {

const StuckRequests* find(const std::vector<StuckRequests>& list, const StuckRequests& wanted) {
    const auto found = std::ranges::find_if(list, [&wanted](const StuckRequests& each) {
        return each.generation == wanted.generation && each.plugin == wanted.plugin;
    });
    return found == list.end() ? nullptr : &*found;
}

void log_changes(const std::vector<StuckRequests>& before, const std::vector<StuckRequests>& now) {
    for (const StuckRequests& each : now) {
        const StuckRequests* const old = find(before, each);
        if (old != nullptr && (!each.plugin_is_closed || old->plugin_is_closed)) continue;
        const model::Alarm alarm = to_alarm(each);
        log_error("plugin {}: {}; {}", alarm.subject, alarm.cause, alarm.remedy);
    }
    for (const StuckRequests& each : before) {
        if (find(now, each) != nullptr) continue;
        log_info("plugin {} generation {}: the requests that were stuck in it have returned",
                 each.plugin, each.generation);
    }
}

}  // namespace

void add_stuck(std::vector<StuckRequests>& list, StuckRequests more) {
    const auto found = std::ranges::find_if(list, [&more](const StuckRequests& each) {
        return each.generation == more.generation && each.plugin == more.plugin;
    });
    if (found == list.end()) return list.push_back(std::move(more));
    const unsigned count = found->count + more.count;
    if (more.longest > found->longest) *found = std::move(more);
    found->count = count;
}

model::Alarm to_alarm(const StuckRequests& stuck) {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(stuck.longest).count();
    std::string cause =
        std::to_string(stuck.count) +
        " requests are past their deadline and still inside handle(), the longest for " +
        std::to_string(seconds) + " s (request " + stuck.request_id + ", worker " +
        std::to_string(stuck.worker) + ")";
    if (stuck.plugin_is_closed) cause += "; new requests for the plugin are refused";
    std::string remedy = "restart the daemon when convenient to free the workers";
    if (!stuck.is_replaced)
        remedy = "replace its code (exportctl plugin rollback " + stuck.plugin +
                 ", or reload a repaired file); " + remedy;
    return {"plugin_stuck", stuck.plugin + " generation " + std::to_string(stuck.generation),
            std::move(cause), std::move(remedy), 0};
}

void StuckRequestList::set(std::vector<StuckRequests> now) {
    // Only the owner writes, so it may read without the mutex.
    if (now.empty() && list_.empty()) return;
    log_changes(list_, now);
    const std::lock_guard lock(mutex_);
    list_ = std::move(now);
}

std::vector<StuckRequests> StuckRequestList::read() const {
    const std::lock_guard lock(mutex_);
    return list_;
}

}  // namespace export_worker::server
