// How plugins, reloads and their history look to people.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace export_worker::exportctl {

void show_plugins(const nlohmann::json& plugins);
// One plugin, its generations, and who is inside those that no longer answer.
void show_plugin(const nlohmann::json& plugin);
// One stage of a reload, on a line.
void show_reload_step(const nlohmann::json& step);
// How it ended: refused and why, or published, with the ledger of the swap.
void show_reload_end(const nlohmann::json& report);
void show_history(const nlohmann::json& history);
// Files that are quarantined, one a line.
void show_quarantine(const nlohmann::json& files);
// The file that no longer is.
void show_lifted(const nlohmann::json& file);

}  // namespace export_worker::exportctl
