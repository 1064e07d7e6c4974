// What operators ask about plugins.
//
// Actions return at once with the number of a report; control.plugin_report tells how far it is.
#pragma once

#include <string_view>
#include <nlohmann/json_fwd.hpp>

#include "daemon/control/control_methods.hpp"
#include "daemon/model/ledger.hpp"

namespace export_worker::control {

// control.plugin_list, _load, _reload, _rollback, _commit, _report, _history, _quarantine_list,
// _quarantine_lift; nullptr for others.
[[nodiscard]] ControlMethod find_plugin_method(std::string_view method);

[[nodiscard]] nlohmann::json plugins_json(const ControlDeps& deps);
[[nodiscard]] nlohmann::json quarantined_json(const plugins::Quarantined& file);
[[nodiscard]] nlohmann::json ledger_json(const model::LedgerCounts& counts);

}  // namespace export_worker::control
