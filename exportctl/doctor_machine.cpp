// The checks that look at this machine: clock, disks, files.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <set>

#include "base/backup_manifest.hpp"
#include "base/clock.hpp"
#include "base/command.hpp"
#include "base/disk_space.hpp"
#include "base/io.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "base/user_name.hpp"
#include "exportctl/doctor.hpp"
#include "exportctl/limits.hpp"
#include "exportctl/output.hpp"

namespace export_worker::exportctl {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kMicroseconds = 1'000'000;

std::optional<struct stat> look_at(const std::string& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0 ? std::optional(info) : std::nullopt;
}

std::string mode_text(mode_t mode) {
    std::array<char, 8> text{};
    std::snprintf(text.data(), text.size(), "%04o", static_cast<unsigned>(mode & 07777U));
    return text.data();
}

// The databases with their logs.
std::vector<std::string> database_files(const Installation& installation) {
    std::vector<std::string> out;
    for (const std::string_view name : kBackupDatabases) {
        for (const char* ending : {"", "-wal", "-shm"}) {
            const std::string path = installation.state_dir + "/" + std::string(name) + ending;
            if (look_at(path)) out.push_back(path);
        }
    }
    return out;
}

// What was written after now says that the clock was set back, or that it was ahead then.
CheckResult judge_times(const Patient& patient) {
    const std::int64_t now_us = system_clock().unix_us();
    const std::int64_t latest_us =
        now_us + kMicroseconds * static_cast<std::int64_t>(limits::kDoctorClockTolerance.count());
    for (const std::string& path : database_files(patient.installation)) {
        const auto info = look_at(path);
        const std::int64_t written_us =
            info ? std::int64_t{info->st_mtim.tv_sec} * kMicroseconds : 0;
        if (written_us > latest_us)
            return {"clock", "", Health::kBad,
                    "the clock says " + to_iso8601(now_us) + ", " + path + " was written at " +
                        to_iso8601(written_us),
                    "set the clock; keys, links and retention go by it"};
    }
    if (patient.status && (*patient.status)["uptime_seconds"].get<std::int64_t>() < 0)
        return {"clock", "", Health::kBad,
                "the clock has been set back: the daemon runs since " +
                    cell((*patient.status)["started_at"]),
                "set the clock; keys, links and retention go by it"};
    return {"clock", "", Health::kOk, to_iso8601(now_us) + ", after every write of the databases"};
}

CheckResult judge_ntp() {
    const auto shown = run_command({"timedatectl", "show", "--value", "--property=NTPSynchronized"},
                                   limits::kDoctorAskTimeout);
    const std::string state = shown && shown->status == 0 ? without_line_end(shown->output) : "";
    if (state == "yes") return {"clock", "NTP", Health::kOk, "synchronized"};
    if (state == "no")
        return {"clock", "NTP", Health::kWarn, "not synchronized",
                "timedatectl set-ntp true, or look at the NTP service"};
    return {"clock", "NTP", Health::kOk, "not known: timedatectl does not answer here"};
}

std::string percent_text(std::uint64_t part, std::uint64_t whole) {
    return std::to_string(whole == 0 ? 100 : part * 100 / whole) + " %";
}

CheckResult judge_disk(const std::string& directory, const DiskSpace& disk) {
    const std::uint64_t total = disk.total_bytes;
    const std::uint64_t free = disk.free_bytes;
    constexpr std::uint64_t kMebibyte = 1024 * 1024;
    CheckResult out{"disk", directory, Health::kOk,
                    std::to_string(free / kMebibyte) + " of " + std::to_string(total / kMebibyte) +
                        " MiB are free"};
    if (disk.total_inodes > 0)
        out.detail += ", " + percent_text(disk.free_inodes, disk.total_inodes) + " of the inodes";
    const bool bad = free < disk.wanted_bytes() || !disk.has_inodes();
    const std::uint64_t percent = limits::kDoctorFreePercentMin;
    const bool low = free / percent < total / 100 && free * 100 < total * percent;
    const bool few = disk.free_inodes * 100 < disk.total_inodes * percent;
    if (!bad && !low && !few) return out;
    out.health = bad ? Health::kBad : Health::kWarn;
    out.remedy = "make room, or shorten file_retention_s and job_retention_s";
    return out;
}

class FileCheck {
public:
    explicit FileCheck(const Installation& installation) : installation_(installation) {
        struct stat info {};
        if (::stat(installation.state_dir.c_str(), &info) == 0) daemon_uid_ = info.st_uid;
    }
    CheckResults run() {
        check_config();
        for (const auto& [key, path] : installation_.key_files()) check_key(key, path);
        for (const std::string& path : database_files(installation_)) check_database(path);
        check_socket(installation_.data_endpoint, installation_.data_socket_mode);
        check_socket(installation_.control_endpoint, installation_.control_socket_mode);
        if (out_.empty())
            out_.push_back({"file", "", Health::kOk,
                            std::to_string(count_) +
                                " files: keys, databases and sockets have the right modes and "
                                "owners"});
        return std::move(out_);
    }

private:
    void complain(const std::string& path, Health health, std::string detail, std::string remedy) {
        out_.push_back({"file", path, health, std::move(detail), std::move(remedy)});
    }

    void check_config() {
        ++count_;
        if (const auto trusted = check_trusted_file(installation_.config_path); !trusted)
            complain(installation_.config_path, Health::kBad, trusted.error().message, "");
    }

    // That it can be read and what is in it is --check-config's business.
    void check_key(const std::string& key, const std::string& path) {
        struct stat info {};
        if (::stat(path.c_str(), &info) != 0) return;
        ++count_;
        const bool is_public = key.ends_with("jwks_file") || key.ends_with("roles_file") ||
                               key.ends_with("ca_file") || key.ends_with("clients_file") ||
                               key.ends_with("server_key_file");
        const mode_t forbidden = is_public ? S_IWGRP | S_IWOTH : S_IWGRP | S_IRWXO;
        if ((info.st_mode & forbidden) != 0)
            complain(path, Health::kBad,
                     key + " has mode " + mode_text(info.st_mode) + ": others may " +
                         (is_public ? "write it" : "read or write a secret"),
                     std::string("chmod ") + (is_public ? "go-w " : "640 ") + path);
        if (info.st_uid != 0 && daemon_uid_ && info.st_uid != *daemon_uid_ &&
            info.st_uid != ::geteuid())
            complain(path, Health::kWarn,
                     key + " belongs to " + user_name(info.st_uid) + ", who can replace it",
                     "chown root " + path);
    }

    void check_database(const std::string& path) {
        const auto info = look_at(path);
        if (!info) return;
        ++count_;
        if ((info->st_mode & (S_IRWXG | S_IRWXO)) != 0)
            complain(path, Health::kBad,
                     "expected mode 0600, found " + mode_text(info->st_mode) +
                         ": others may read keys and jobs",
                     "chmod 600 " + path);
        if (daemon_uid_ && info->st_uid != *daemon_uid_)
            complain(path, Health::kBad,
                     "expected the owner of state_dir, " + user_name(*daemon_uid_) + ", found " +
                         user_name(info->st_uid) + ": the daemon may not open it",
                     "chown " + user_name(*daemon_uid_) + " " + path);
    }

    void check_socket(const std::string& endpoint, unsigned mode) {
        constexpr std::string_view kIpc = "ipc://";
        if (!endpoint.starts_with(kIpc)) return;
        const std::string path = endpoint.substr(kIpc.size());
        const auto info = look_at(path);
        if (!info) return;  // The daemon does not run, which its own check says.
        ++count_;
        if (!S_ISSOCK(info->st_mode))
            return complain(path, Health::kBad, "expected a socket, found something else",
                            "remove it and restart export-workerd");
        if ((info->st_mode & 07777U) != mode)
            complain(path, Health::kWarn,
                     "expected mode " + mode_text(mode) + " of the configuration, found " +
                         mode_text(info->st_mode),
                     "systemctl restart export-workerd");
        if (daemon_uid_ && info->st_uid != *daemon_uid_)
            complain(path, Health::kWarn,
                     "expected the owner " + user_name(*daemon_uid_) + ", found " +
                         user_name(info->st_uid),
                     "restart export-workerd as that user");
    }

    const Installation& installation_;
    std::optional<uid_t> daemon_uid_;
    std::size_t count_ = 0;
    CheckResults out_;
};

}  // namespace

CheckResults check_clock(const Patient& patient) {
    return {judge_times(patient), judge_ntp()};
}

CheckResults check_disks(const Patient& patient) {
    std::vector<std::string> directories{patient.installation.state_dir};
    for (const std::string& store : patient.installation.stores("local"))
        directories.push_back(patient.installation.value(store, "root"));
    std::set<unsigned long> seen;  // Once a file system, by the first of its directories.
    CheckResults out;
    for (const std::string& directory : directories) {
        const auto disk = read_disk_space(directory);
        if (!disk) {
            const bool is_gone = disk.error().code == ErrorCode::kNotFound;
            out.push_back(
                {"disk", directory, Health::kBad, disk.error().message,
                 is_gone ? "mount it, or put it back; a first start of the daemon makes it" : ""});
        } else if (seen.insert(disk->file_system).second) {
            out.push_back(judge_disk(directory, *disk));
        }
    }
    return out;
}

CheckResults check_files(const Patient& patient) {
    return FileCheck(patient.installation).run();
}

}  // namespace export_worker::exportctl
