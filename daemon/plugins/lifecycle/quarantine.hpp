// The quarantine as operators name it: files by the first digits of their SHA-256.
//
// A crash leaves a file quarantined, or lifted with its entry in the history.
#pragma once

#include <string>

#include "base/result.hpp"
#include "daemon/plugins/lifecycle/history.hpp"

namespace export_worker::plugins {

// Lifts the one file whose SHA-256 begins with `digits` and returns what was known of it. `detail`
// goes into the history. [any-thread]
// Errors: kInvalidArgument (fewer than kPluginHashDigitsMin digits, or something else), kNotFound,
// kConflict (several files, which it names).
[[nodiscard]] Result<Quarantined> lift_quarantine(History& history, const std::string& digits,
                                                  const std::string& detail);

}  // namespace export_worker::plugins
