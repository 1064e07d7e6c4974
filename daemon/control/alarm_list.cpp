#include "daemon/control/alarm_list.hpp"

#include <algorithm>
#include <set>

#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "daemon/control/limits.hpp"

namespace export_worker::control {
namespace {

using Key = std::array<std::string, 3>;

Key key_of(const model::Alarm& alarm) {
    return {alarm.name, alarm.subject,
            alarm.cause.substr(0, alarm.cause.find_first_of("0123456789"))};
}

std::string name_of(const Key& key) {
    return key[0] + (key[1].empty() ? "" : " " + key[1]);
}

}  // namespace

void AlarmList::start(Collect collect) {
    {
        const std::lock_guard look(looking_);
        collect_ = std::move(collect);
    }
    threads_.start([this] { run(); });
}

void AlarmList::stop() {
    threads_.stop();
    const std::lock_guard look(looking_);
    collect_ = nullptr;
}

void AlarmList::run() {
    name_this_thread("alarms");
    while (threads_.wait_for(limits::kAlarmInterval)) (void)read();
}

std::vector<model::Alarm> AlarmList::read() {
    const std::lock_guard look(looking_);
    if (!collect_) return {};
    std::vector<model::Alarm> out = collect_();
    std::map<Key, std::int64_t> since;
    std::set<std::string> names;
    for (model::Alarm& alarm : out) {
        const Key key = key_of(alarm);
        const auto known = since_.find(key);
        alarm.since_unix_us = known == since_.end() ? clock_.unix_us() : known->second;
        if (known == since_.end() && !since.contains(key))
            log_error("alarm {}: {}{}{}", name_of(key), alarm.cause,
                      alarm.remedy.empty() ? "" : "; ", alarm.remedy);
        since.emplace(key, alarm.since_unix_us);
        names.insert(alarm.name);
    }
    for (const auto& [key, begun] : since_) {
        if (!since.contains(key)) log_info("alarm {}: over", name_of(key));
    }
    since_ = std::move(since);
    const std::lock_guard lock(mutex_);
    names_.assign(names.begin(), names.end());
    return out;
}

std::vector<std::string> AlarmList::names() const {
    const std::lock_guard lock(mutex_);
    return names_;
}

}  // namespace export_worker::control
