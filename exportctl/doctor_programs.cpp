// The checks that run or ask programs: configuration, daemon, alarms, shim, public address, units.
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <optional>
#include <set>
#include <sstream>

#include "base/command.hpp"
#include "base/http_probe.hpp"
#include "base/json.hpp"
#include "base/socket_address.hpp"
#include "base/text.hpp"
#include "exportctl/control_client.hpp"
#include "exportctl/doctor.hpp"
#include "exportctl/limits.hpp"
#include "exportctl/output.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kDaemon = "export-workerd";
constexpr const char* kShim = "export-httpd";
constexpr std::string_view kUnix = "unix:";

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> out;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) out.push_back(std::move(line));
    return out;
}

// It answers: systemctl may be installed where another program is the first process.
bool has_systemd() {
    const auto shown =
        run_command({"systemctl", "show", "--property=Version"}, limits::kDoctorAskTimeout);
    return shown && shown->status == 0;
}

bool is_installed(const std::string& program) {
    return ::access(program_path(program).c_str(), X_OK) == 0;
}

// "export-workerd 0.2.0" without the name; empty: it does not say.
std::string version_said_by(const std::string& program) {
    const auto end = run_command({program, "--version"}, limits::kDoctorAskTimeout);
    if (!end || end->status != 0) return {};
    const std::string line = end->output.substr(0, end->output.find('\n'));
    return line.substr(line.rfind(' ') + 1);
}

std::string unit_property(const std::string& unit, const std::string& property) {
    const auto shown = run_command({"systemctl", "show", unit, "--value", "--property=" + property},
                                   limits::kDoctorAskTimeout);
    return shown && shown->status == 0 ? without_line_end(shown->output) : std::string();
}

// In front of a command, so that it runs as the user of the service; empty: it does already, or
// only root could change that.
std::vector<std::string> as_user(const passwd* user) {
    if (user == nullptr || ::geteuid() != 0 || user->pw_uid == 0) return {};
    return {"setpriv",
            "--reuid",
            std::to_string(user->pw_uid),
            "--regid",
            std::to_string(user->pw_gid),
            "--init-groups",
            "--"};
}

std::vector<std::string> as_daemon_user(const Installation& installation) {
    struct stat info {};
    if (::stat(installation.state_dir.c_str(), &info) != 0)
        return as_user(::getpwnam("export-worker"));
    return as_user(::getpwuid(info.st_uid));
}

std::vector<std::string> as_shim_user() {
    const std::string of_unit = unit_property("export-httpd.service", "User");
    return as_user(::getpwnam(of_unit.empty() ? "export-httpd" : of_unit.c_str()));
}

// What --check-config prints: complaints, warnings, notes, and "FILE: good".
void judge_lines(const std::string& program, const CommandEnd& end, CheckResults& out) {
    for (std::string line : lines_of(end.output)) {
        const std::string start = program + ": ";
        if (!line.starts_with(start) || line.starts_with(start + "note: ")) continue;
        line.erase(0, start.size());
        constexpr std::string_view kWarning = "warning: ";
        const bool warning = line.starts_with(kWarning);
        if (warning) line.erase(0, kWarning.size());
        constexpr std::string_view kCannotStart = "cannot start: ";
        if (line.starts_with(kCannotStart)) line.erase(0, kCannotStart.size());
        out.push_back({"configuration", program, warning ? Health::kWarn : Health::kBad, line});
    }
    if (end.status == 0) {
        out.push_back({"configuration", program, Health::kOk, "good"});
    } else if (out.empty() || out.back().health != Health::kBad) {
        out.push_back({"configuration", program, Health::kBad,
                       "--check-config ended with status " + std::to_string(end.status),
                       "run " + program + " --check-config by hand"});
    }
}

CheckResults check_program(const Patient& patient, const std::string& program,
                           std::vector<std::string> words) {
    if (!is_installed(program))
        return {{"configuration", program, Health::kOk, "not installed here"}};
    words.insert(words.end(), {program_path(program), "--check-config", "--config",
                               patient.installation.config_path});
    const auto end = run_command(words, limits::kDoctorProgramTimeout);
    if (!end) return {{"configuration", program, Health::kBad, end.error().message}};
    CheckResults out;
    judge_lines(program, *end, out);
    return out;
}

CheckResult judge_version(const char* check, const std::string& program,
                          const std::string& running) {
    const std::string installed =
        is_installed(program) ? version_said_by(program_path(program)) : std::string();
    CheckResult out{check, "", Health::kOk, program + " " + running + " answers"};
    if (installed.empty() || installed == running) return out;
    out.health = Health::kWarn;
    out.detail += ", " + installed + " is installed";
    out.remedy = "systemctl restart " + program;
    return out;
}

// The image of a running program after an upgrade that did not restart it.
bool is_replaced(const json& pid) {
    std::error_code error;
    const fs::path image = fs::read_symlink("/proc/" + cell(pid) + "/exe", error);
    return !error && image.string().ends_with(" (deleted)");
}

// "export_worker_build_info{program="export-httpd",version="0.2.0"} 1" on /metrics.
std::string version_on_page(const std::string& page) {
    constexpr std::string_view kStart = "program=\"export-httpd\",version=\"";
    const std::size_t at = page.find(kStart);
    if (at == std::string::npos) return {};
    const std::size_t begin = at + kStart.size();
    return page.substr(begin, page.find('"', begin) - begin);
}

// The values of the labels in `line`, in their order; a metric's page escapes them as C does.
std::vector<std::string> label_values(const std::string& line) {
    std::vector<std::string> out;
    bool is_inside = false;
    for (std::size_t at = 0; at < line.size(); ++at) {
        if (line[at] == '"') {
            if (!is_inside) out.emplace_back();
            is_inside = !is_inside;
        } else if (is_inside) {
            if (line[at] == '\\' && at + 1 < line.size()) ++at;
            out.back() += line[at];
        }
    }
    return out;
}

// What export_httpd_store_info says, with the labels root and store in this order.
void judge_roots(const Patient& patient, const std::string& page, CheckResults& out) {
    for (const std::string& line : lines_of(page)) {
        if (!line.starts_with("export_httpd_store_info{")) continue;
        const std::vector<std::string> values = label_values(line);
        if (values.size() == 2) out.push_back(judge_served_root(patient, values[1], values[0]));
    }
}

// Empty: only listed addresses may see it.
std::string metrics_page(const std::string& where) {
    const auto page = http_get(where, "/metrics", limits::kDoctorAskTimeout);
    return page && page->status == 200 ? page->body : std::string();
}

std::string shim_version(const std::string& page) {
    if (!page.empty()) return version_on_page(page);
    const std::string pid = unit_property("export-httpd.service", "MainPID");
    return pid.empty() || pid == "0" ? std::string() : version_said_by("/proc/" + pid + "/exe");
}

// /readyz: alarms in its body belong to the daemon's check, but for the shim's own.
CheckResult judge_readiness(const std::string& where) {
    const auto ready = http_get(where, "/readyz", limits::kDoctorAskTimeout);
    if (!ready) return {"shim", where, Health::kBad, ready.error().message};
    if (ready->status != 200)
        return {
            "shim", where, Health::kBad,
            "/readyz answers " + std::to_string(ready->status) + ": " + printable(ready->body, 200),
            "start the daemon, and add the user of export-httpd to the group of its socket"};
    if (ready->body.find("shim_configuration") != std::string::npos)
        return {"shim", where, Health::kBad, "a SIGHUP found a configuration that cannot be used",
                "export-httpd --check-config says where; then systemctl reload export-httpd"};
    return {"shim", where, Health::kOk, "ready"};
}

// Of the sockets that systemd holds: "127.0.0.1:8080 (Stream)" a line.
std::vector<std::string> addresses_of_systemd() {
    std::vector<std::string> out;
    if (unit_property("export-httpd.socket", "ActiveState") != "active") return out;
    for (const std::string& line : lines_of(unit_property("export-httpd.socket", "Listen"))) {
        const std::string where = line.substr(0, line.find(' '));
        out.push_back(where.starts_with('/') ? std::string(kUnix) + where : where);
    }
    return out;
}

// A connection would start the service.
bool waits_in_systemd(const std::string& where) {
    const auto addresses = addresses_of_systemd();
    return std::ranges::find(addresses, where) != addresses.end() &&
           unit_property("export-httpd.service", "ActiveState") != "active";
}

// Something listens there that does not answer as a shim.
CheckResult another_program(const std::string& where, const std::string& found) {
    return {"shim", where, Health::kBad, "expected export-httpd, found another program: " + found,
            "stop it (ss -ltnp names it), or change [http] listen"};
}

CheckResult judge_silence(const std::string& where, const Error& error) {
    if (error.message.find("expected HTTP") != std::string::npos)
        return another_program(where, error.message);
    const bool is_silent = error.code == ErrorCode::kDeadlineExceeded;
    return {"shim", where, is_installed(kShim) ? Health::kBad : Health::kWarn, error.message,
            is_silent ? "it takes connections and is frozen or starved of CPU: "
                        "systemctl restart export-httpd"
                      : "systemctl start export-httpd"};
}

bool is_alive(int status, const std::string& body) {
    return status == 200 && body.find("\"alive\"") != std::string::npos;
}

void check_listener(const Patient& patient, const std::string& where, CheckResults& out) {
    if (waits_in_systemd(where)) {
        out.push_back({"shim", where, Health::kWarn,
                       "does not run; export-httpd.socket starts it with the next connection",
                       "systemctl start export-httpd"});
        return;
    }
    const auto alive = http_get(where, "/livez", limits::kDoctorAskTimeout);
    if (!alive) return out.push_back(judge_silence(where, alive.error()));
    if (!is_alive(alive->status, alive->body))
        return out.push_back(another_program(where, "/livez answers " +
                                                        std::to_string(alive->status) + " with '" +
                                                        printable(alive->body, 80) + "'"));
    out.push_back(judge_readiness(where));
    const std::string page = metrics_page(where);
    judge_roots(patient, page, out);
    const std::string version = shim_version(page);
    if (version.empty()) return;
    CheckResult judged = judge_version("shim", kShim, version);
    judged.subject = where;
    out.push_back(std::move(judged));
}

// Names, TLS and redirects are curl's business; http://ADDRESS:PORT needs none.
CheckResult ask_public(const std::string& base_url) {
    const CheckResult bad{"public address", base_url, Health::kWarn, "",
                          "links lead there: look at DNS, the proxy, its certificate and base_url"};
    CheckResult out = bad;
    constexpr std::string_view kHttp = "http://";
    if (base_url.starts_with(kHttp) && parse_socket_address(base_url.substr(kHttp.size()))) {
        const auto answer =
            http_get(base_url.substr(kHttp.size()), "/livez", limits::kDoctorAskTimeout);
        if (answer && is_alive(answer->status, answer->body))
            return {"public address", base_url, Health::kOk, "answers"};
        out.detail =
            answer ? "/livez answers " + std::to_string(answer->status) : answer.error().message;
        return out;
    }
    const auto end = run_command(
        {"curl", "--silent", "--show-error", "--max-time", "5", "--", base_url + "/livez"},
        limits::kDoctorProgramTimeout);
    if (!end && end.error().code == ErrorCode::kNotFound)
        return {"public address", base_url, Health::kOk, "not asked: curl is not installed"};
    if (end && is_alive(end->status == 0 ? 200 : 0, end->output))
        return {"public address", base_url, Health::kOk, "answers"};
    out.detail = end ? "/livez is not answered by export-httpd: " + printable(end->output, 200)
                     : end.error().message;
    return out;
}

struct UnitState {
    std::string load;
    std::string active;
    std::string enabled;
    std::string restarts;
};

UnitState state_of(const std::string& unit) {
    return {unit_property(unit, "LoadState"), unit_property(unit, "ActiveState"),
            unit_property(unit, "UnitFileState"), unit_property(unit, "NRestarts")};
}

CheckResult judge_unit(const std::string& unit) {
    const UnitState state = state_of(unit);
    const bool unused =
        unit.ends_with(".socket") && state.active != "active" && state.enabled != "enabled";
    if (unused) return {"unit", unit, Health::kOk, "not used"};
    if (state.load != "loaded") return {"unit", unit, Health::kOk, "not installed here"};
    if (state.active != "active" && state.active != "reloading")
        return {"unit", unit, Health::kBad, state.active,
                "journalctl -u " + unit + " says why; systemctl start " + unit};
    const bool restarted = !state.restarts.empty() && state.restarts != "0";
    if (restarted)
        return {"unit", unit, Health::kWarn, "active, started anew " + state.restarts + " times",
                "journalctl -u " + unit + " has the reasons; systemctl reset-failed " + unit +
                    " resets the count"};
    if (state.enabled == "disabled")
        return {"unit", unit, Health::kWarn, "active, not enabled: a reboot does not start it",
                "systemctl enable " + unit};
    return {"unit", unit, Health::kOk, "active, " + state.enabled};
}

}  // namespace

std::string program_path(const std::string& name) {
    std::error_code error;
    const fs::path self = fs::read_symlink("/proc/self/exe", error);
    return ((error ? fs::path(".") : self.parent_path()) / name).string();
}

Result<json> ask_status(const Context& context) {
    EW_TRY(ControlClient client, ControlClient::connect(context));
    auto answer = client.call("control.status", json::object(), {}, limits::kDoctorAskTimeout);
    if (!answer) return fail(ErrorCode::kUnavailable, answer.error().message);
    return std::move(*answer);
}

CheckResults check_configuration(const Patient& patient) {
    CheckResults out = check_program(patient, kDaemon, as_daemon_user(patient.installation));
    for (CheckResult& result : check_program(patient, kShim, as_shim_user()))
        out.push_back(std::move(result));
    return out;
}

CheckResults check_daemon(const Patient& patient) {
    if (!patient.status) {
        const auto again = ask_status(patient.context);
        return {{"daemon", "", Health::kBad, again ? "answers slowly" : again.error().message}};
    }
    const json& status = *patient.status;
    CheckResult out = judge_version("daemon", kDaemon, cell(status["version"]));
    out.detail += ", pid " + cell(status["pid"]) + ", up since " + cell(status["started_at"]);
    if (out.health == Health::kOk && is_replaced(status["pid"])) {
        out.health = Health::kWarn;
        out.detail += ", its file has been replaced";
        out.remedy = "systemctl restart export-workerd";
    }
    if (status["draining"] == true) {
        out.health = Health::kWarn;
        out.detail += ", draining: new requests are refused";
        out.remedy = "systemctl restart export-workerd when the drain is over";
    }
    return {out};
}

CheckResults check_alarms(const Patient& patient) {
    if (!patient.status) return {};
    CheckResults out;
    for (const json& alarm : (*patient.status)["alarms"]) {
        const std::string subject = cell(alarm["subject"]);
        out.push_back({"alarm", cell(alarm["name"]) + (subject.empty() ? "" : " " + subject),
                       Health::kBad, cell(alarm["cause"]) + " (since " + cell(alarm["since"]) + ")",
                       cell(alarm["remedy"])});
    }
    if (out.empty()) out.push_back({"alarm", "", Health::kOk, "none"});
    return out;
}

CheckResults check_shim(const Patient& patient) {
    CheckResults out;
    for (const std::string& where : patient.installation.listen) {
        if (where != "systemd") {
            check_listener(patient, where, out);
            continue;
        }
        for (const std::string& each : addresses_of_systemd()) check_listener(patient, each, out);
    }
    if (out.empty())
        out.push_back({"shim", "", Health::kWarn, "[http] listen = systemd has no sockets",
                       "systemctl start export-httpd.socket"});
    return out;
}

CheckResults check_public_address(const Patient& patient) {
    std::set<std::string> addresses;
    for (const std::string& store : patient.installation.stores("local"))
        addresses.insert(patient.installation.value(store, "base_url"));
    CheckResults out;
    for (const std::string& base_url : addresses) {
        if (!base_url.empty()) out.push_back(ask_public(base_url));
    }
    return out;
}

CheckResults check_units(const Patient&) {
    if (!has_systemd()) return {{"unit", "", Health::kOk, "systemd does not run here"}};
    CheckResults out;
    for (const char* unit :
         {"export-workerd.service", "export-httpd.service", "export-httpd.socket"})
        out.push_back(judge_unit(unit));
    return out;
}

}  // namespace export_worker::exportctl
