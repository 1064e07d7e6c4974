#include "daemon/plugins/probing/child_processes.hpp"

#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <string>

namespace export_worker::plugins {
namespace {

// "71 72 ": of one thread of this process.
void add_children_of(const std::string& thread, std::vector<pid_t>& out) {
    std::ifstream children("/proc/self/task/" + thread + "/children");
    for (pid_t pid = 0; children >> pid;) out.push_back(pid);
}

}  // namespace

bool has_children() {
    siginfo_t unused{};
    return ::waitid(P_ALL, 0, &unused, WEXITED | WNOHANG | WNOWAIT) == 0;
}

// Not by a look at every process of the system: under load that takes seconds.
std::vector<pid_t> read_children() {
    std::vector<pid_t> out;
    const std::unique_ptr<DIR, int (*)(DIR*)> threads(::opendir("/proc/self/task"), ::closedir);
    if (!threads) return out;
    while (const dirent* const entry = ::readdir(threads.get())) {
        if (entry->d_name[0] != '.') add_children_of(entry->d_name, out);
    }
    return out;
}

}  // namespace export_worker::plugins
