// Fault points that obey. EXPORT_WORKER_FAULTS is a list "NAME:ACTION[:COUNT]", separated by
// commas: the COUNTth time (default 1) the process comes to the point NAME it does ACTION.
//   kill    SIGKILL, as a crash
//   stop    SIGSTOP, the whole process
//   pause   this thread waits until the file $EXPORT_WORKER_FAULT_DIRECTORY/NAME.go exists
//   lose    the answer of what was just done is lost (fault_loses_answer()), without a count: while
//           the file $EXPORT_WORKER_FAULT_DIRECTORY/NAME.lose exists
// Before a pause the file NAME.here is made there, so that a test knows. With
// EXPORT_WORKER_FAULTS_ARMED, a path, only what comes after that file exists counts.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <string>
#include <string_view>

#include "base/fault_point.hpp"

namespace export_worker {
namespace {

struct Fault {
    std::string name;
    std::string action;
    int count = 1;
    std::atomic<int> seen{0};
};

std::deque<Fault>& faults() {
    static std::deque<Fault> all = [] {
        std::deque<Fault> out;
        const char* given = std::getenv("EXPORT_WORKER_FAULTS");
        std::string_view rest = given == nullptr ? "" : given;
        while (!rest.empty()) {
            std::string_view entry = rest.substr(0, rest.find(','));
            rest.remove_prefix(std::min(entry.size() + 1, rest.size()));
            Fault& fault = out.emplace_back();
            const std::size_t first = entry.find(':');
            const std::size_t second = entry.find(':', first + 1);
            fault.name = entry.substr(0, first);
            fault.action = entry.substr(first + 1, second - first - 1);
            if (second != std::string_view::npos)
                fault.count = std::atoi(std::string(entry.substr(second + 1)).c_str());
        }
        return out;
    }();
    return all;
}

bool is_armed() {
    static const char* const file = std::getenv("EXPORT_WORKER_FAULTS_ARMED");
    return file == nullptr || ::access(file, F_OK) == 0;
}

void pause_at(const std::string& name) {
    const char* directory = std::getenv("EXPORT_WORKER_FAULT_DIRECTORY");
    if (directory == nullptr) std::abort();
    const std::string base = std::string(directory) + "/" + name;
    if (std::FILE* here = std::fopen((base + ".here").c_str(), "w")) std::fclose(here);
    while (::access((base + ".go").c_str(), F_OK) != 0)
        ::usleep(5'000);  // sleep: the pause between two looks at the file
}

}  // namespace

void fault_point(const char* name) {
    if (!is_armed()) return;
    for (Fault& fault : faults()) {
        if (fault.name != name || fault.seen.fetch_add(1) + 1 != fault.count) continue;
        if (fault.action == "pause") {
            pause_at(fault.name);
        } else {
            ::kill(::getpid(), fault.action == "stop" ? SIGSTOP : SIGKILL);
            // A killed process may run a moment longer, until the signal is taken.
            while (fault.action == "kill") ::pause();
        }
    }
}

bool fault_loses_answer(const char* name) {
    const bool asked = std::ranges::any_of(
        faults(), [&](const Fault& fault) { return fault.name == name && fault.action == "lose"; });
    const char* directory = std::getenv("EXPORT_WORKER_FAULT_DIRECTORY");
    if (!asked || directory == nullptr) return false;
    return ::access((std::string(directory) + "/" + name + ".lose").c_str(), F_OK) == 0;
}

}  // namespace export_worker
