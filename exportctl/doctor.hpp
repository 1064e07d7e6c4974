// `exportctl doctor`: is this installation well? Looks from outside, changes nothing, and comes to
// an end whatever hangs.
#pragma once

#include <memory>
#include <string>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "exportctl/command.hpp"
#include "exportctl/installation.hpp"

namespace export_worker::exportctl {

enum class Health { kOk, kWarn, kBad };

struct CheckResult {
    std::string check;    // "disk", "alarm", ...
    std::string subject;  // Which directory, store, unit; may be empty.
    Health health = Health::kOk;
    std::string detail;
    std::string remedy = {};  // What to do; empty: nothing, or the detail says it.
};
using CheckResults = std::vector<CheckResult>;

// The checks, in the order in which they run. Each reads what it needs itself and may hang: their
// caller bounds them. `status`: the daemon's answer to control.status; null: it does not answer.
struct Patient {
    Context context;
    Installation installation;
    std::shared_ptr<const nlohmann::json> status = {};
};
// --check-config of each program that is installed beside exportctl, as the user that runs it.
[[nodiscard]] CheckResults check_configuration(const Patient& patient);
// Whether it answers, with the version that is installed; its alarms.
[[nodiscard]] CheckResults check_daemon(const Patient& patient);
[[nodiscard]] CheckResults check_alarms(const Patient& patient);
// The shim at each of its addresses: /livez, /readyz, its version and the roots that it serves.
[[nodiscard]] CheckResults check_shim(const Patient& patient);
// base_url of the local stores: what a client of a link sees.
[[nodiscard]] CheckResults check_public_address(const Patient& patient);
// Credentials and places as the daemon has them, and whether the store's address takes a
// connection.
[[nodiscard]] CheckResults check_stores(const Patient& patient);
// Whether the shim, which serves `root` for this store, has what the file says.
[[nodiscard]] CheckResult judge_served_root(const Patient& patient, const std::string& store,
                                            const std::string& root);
// This machine's clock against the times of the databases, and NTP.
[[nodiscard]] CheckResults check_clock(const Patient& patient);
// Room and inodes below the state directory and the roots of local stores.
[[nodiscard]] CheckResults check_disks(const Patient& patient);
// Modes and owners of the configuration, key files, databases and sockets.
[[nodiscard]] CheckResults check_files(const Patient& patient);
// The units of systemd, where it runs.
[[nodiscard]] CheckResults check_units(const Patient& patient);

// control.status, or the error that a daemon's check reports.
[[nodiscard]] Result<nlohmann::json> ask_status(const Context& context);
// Where the programs are: the directory of exportctl.
[[nodiscard]] std::string program_path(const std::string& name);

}  // namespace export_worker::exportctl
