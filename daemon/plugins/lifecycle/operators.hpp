// What operators ask for: what may be asked now, and rollback, commit and unpin.
#pragma once

#include <optional>

#include "daemon/plugins/lifecycle/load.hpp"

namespace export_worker::plugins {

// Plugin code may be loaded for it, now. [any-thread], like the next three.
[[nodiscard]] bool needs_load(const ReloadRequest& request, const RosterState& roster);
[[nodiscard]] bool waits_for_bake(const ReloadRequest& request, const RosterState& roster);
// Notes which generation a rollback leaves. Errors: kNotFound, no such plugin.
[[nodiscard]] Result<void> check_request(ReloadRequest& request, const HostConfig& config,
                                         const RosterState& roster);
// `other`: ReportBook::by_operator(). Errors: kConflict, "busy", with what.
[[nodiscard]] Result<void> check_busy(const ReloadRequest& request, const RosterState& roster,
                                      const std::optional<ReloadReport>& other);

// [supervisor-thread]
[[nodiscard]] Next roll_back(const LifecycleDeps& deps, const HostConfig& config,
                             const ReloadReport& report);
[[nodiscard]] Next commit_now(const LifecycleDeps& deps, const ReloadReport& report);
[[nodiscard]] Next unpin(const LifecycleDeps& deps, const ReloadReport& report);

}  // namespace export_worker::plugins
