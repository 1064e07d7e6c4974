// What waits to be done with plugins. What an operator asks for goes before what comes by itself,
// and of that a rollback, a commit and an unpin before a load, which takes longer.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/plugins/lifecycle/reload_report.hpp"

namespace export_worker::plugins {

// Borrows the reports, which outlive their time here.
class ReloadQueue {
public:
    // Behind all of its rank.
    void add(ReloadReport& report);
    // One that asks for exactly the same and has not begun; nullptr: none.
    [[nodiscard]] const ReloadReport* same_as(const ReloadRequest& request) const;
    // An operator's request for this plugin, dry runs apart; nullptr: none.
    [[nodiscard]] const ReloadReport* operators(const std::string& plugin) const;
    // A start of the daemon waits.
    [[nodiscard]] bool has_start() const;
    // Takes the first that may begin; nullptr: none.
    [[nodiscard]] ReloadReport* take(const std::function<bool(const ReloadRequest&)>& may_begin);
    // Takes out the loads of this plugin that came by themselves.
    [[nodiscard]] std::vector<ReloadReport*> drop_automatic(const std::string& plugin);

private:
    std::vector<ReloadReport*> waiting_;  // By rank.
};

}  // namespace export_worker::plugins
