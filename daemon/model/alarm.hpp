// A condition that an operator should look at, as a part of the daemon reports it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace export_worker::model {

struct Alarm {
    std::string name;     // One of kAlarmNames.
    std::string subject;  // Which plugin, store, organization or path; empty: there is only one.
    std::string cause;    // What is wrong, in words.
    std::string remedy;   // What to do; empty: the cause says it.
    std::int64_t since_unix_us = 0;  // When it was seen first.
};

// A label of metrics, so the list is closed; docs/operations.md explains each.
inline constexpr std::array<std::string_view, 16> kAlarmNames{
    "cluster",          "configuration", "database",          "database_log",
    "descriptors",      "disk",          "exports",           "plugin",
    "plugin_stuck",     "retention",     "retention_backlog", "session_keys",
    "session_provider", "store",         "store_credentials", "webhook"};

}  // namespace export_worker::model
