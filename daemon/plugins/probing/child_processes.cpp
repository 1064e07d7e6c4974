#include "daemon/plugins/probing/child_processes.hpp"

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/io.hpp"
#include "base/text.hpp"
#include "daemon/plugins/probing/limits.hpp"

namespace export_worker::plugins {
namespace {

// "PID (NAME) STATE PARENT ...": NAME may hold blanks and brackets.
bool is_child(std::string_view stat) {
    const std::size_t name_end = stat.rfind(')');
    if (name_end == std::string_view::npos || stat.size() < name_end + 4) return false;
    const std::string_view parent = stat.substr(name_end + 4);
    return parse_unsigned(parent.substr(0, parent.find(' '))) ==
           static_cast<std::uint64_t>(::getpid());
}

}  // namespace

bool has_children() {
    siginfo_t unused{};
    return ::waitid(P_ALL, 0, &unused, WEXITED | WNOHANG | WNOWAIT) == 0;
}

std::vector<pid_t> read_children() {
    std::vector<pid_t> out;
    const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
    if (!proc) return out;
    while (const dirent* const entry = ::readdir(proc.get())) {
        const auto pid = parse_unsigned(entry->d_name);
        if (!pid) continue;
        const auto stat =
            read_file("/proc/" + std::string(entry->d_name) + "/stat", limits::kProcStatBytesMax);
        if (stat && is_child(*stat)) out.push_back(static_cast<pid_t>(*pid));
    }
    return out;
}

}  // namespace export_worker::plugins
