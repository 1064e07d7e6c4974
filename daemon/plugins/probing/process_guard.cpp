#include "daemon/plugins/probing/process_guard.hpp"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.hpp"
#include "daemon/plugins/probing/child_processes.hpp"
#include "daemon/plugins/probing/limits.hpp"
#include "daemon/plugins/probing/process_state.hpp"
#include "daemon/plugins/running/fp_state.hpp"

namespace export_worker::plugins {
namespace {

// The settings before the load, and what it takes to put them back.
class ProcessGuard {
public:
    ProcessGuard() {
        for (int number = 0; number < RLIM_NLIMITS; ++number) {
            rlimit bound{};
            if (::getrlimit(static_cast<__rlimit_resource>(number), &bound) == 0)
                limits_.emplace_back(number, bound);
        }
        for (int number = 1; number < NSIG; ++number) {
            struct sigaction action {};
            if (::sigaction(number, nullptr, &action) == 0) actions_.emplace_back(number, action);
        }
        for (std::size_t which = 0; which < timers_.size(); ++which)
            (void)::getitimer(static_cast<__itimer_which>(which), &timers_[which]);
        for (std::size_t fd = 0; fd < stdio_copies_.size(); ++fd)
            stdio_copies_[fd] =
                UniqueFd(::fcntl(static_cast<int>(fd), F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
        (void)::pthread_sigmask(SIG_SETMASK, nullptr, &mask_);
        if (const char* const locale = ::setlocale(LC_ALL, nullptr); locale != nullptr)
            locale_ = locale;
    }

    // What the load changed.
    [[nodiscard]] std::optional<SettingChange> change() const {
        const Settings process = read_process_settings();
        if (auto changed = first_change(process_, process)) return changed;
        if (auto added = first_addition(process_, process)) return added;
        if (auto changed = first_change(thread_, read_thread_settings())) return changed;
        if (auto changed = first_change(stdio_, read_stdio())) return changed;
        if (had_children_ || !has_children()) return std::nullopt;
        return SettingChange{"number of child processes", "0",
                             std::to_string(read_children().size()),
                             "a plugin starts no processes"};
    }

    void restore() const {
        for (const auto& [number, bound] : limits_)
            (void)::setrlimit(static_cast<__rlimit_resource>(number), &bound);
        for (const auto& [number, action] : actions_) (void)::sigaction(number, &action, nullptr);
        for (std::size_t which = 0; which < timers_.size(); ++which)
            (void)::setitimer(static_cast<__itimer_which>(which), &timers_[which], nullptr);
        for (std::size_t fd = 0; fd < stdio_copies_.size(); ++fd) {
            if (stdio_copies_[fd]) (void)::dup2(stdio_copies_[fd].get(), static_cast<int>(fd));
        }
        if (::fchdir(directory_.get()) != 0) return;  // change() then finds it.
        restore_umask();
        (void)::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
        (void)::setlocale(LC_ALL, locale_.c_str());
        fp_.restore();
        if (!had_children_) end_children();
    }

private:
    // The daemon's own are those of probes, and none runs during a load.
    static void end_children() {
        for (const pid_t pid : read_children()) {
            (void)::kill(pid, SIGKILL);
            (void)::waitpid(pid, nullptr, 0);
        }
    }
    // umask() tells the value only by changing it, also for threads that make files meanwhile.
    void restore_umask() const {
        const auto setting = std::ranges::find(process_, "umask", &Setting::name);
        if (setting == process_.end() || setting->value.empty()) return;
        (void)::umask(static_cast<mode_t>(std::stoul(setting->value, nullptr, 8)));
    }

    const Settings process_ = read_process_settings();
    const Settings thread_ = read_thread_settings();
    const Settings stdio_ = read_stdio();
    const bool had_children_ = has_children();
    const UniqueFd directory_{::open(".", O_PATH | O_DIRECTORY | O_CLOEXEC)};
    const FpState fp_;
    std::vector<std::pair<int, rlimit>> limits_;
    std::vector<std::pair<int, struct sigaction>> actions_;
    std::array<itimerval, 3> timers_{};
    std::array<UniqueFd, 3> stdio_copies_;
    sigset_t mask_{};
    std::string locale_ = "C";
};

// What a load changed for good, for alarms.
struct LastingChanges {
    std::mutex mutex;
    std::vector<SettingChange> all;  // Guarded by mutex.
};

LastingChanges& lasting() {
    static LastingChanges changes;
    return changes;
}

void remember(const SettingChange& change) {
    LastingChanges& changes = lasting();
    const std::lock_guard lock(changes.mutex);
    const auto same = std::ranges::find(changes.all, change.name, &SettingChange::name);
    if (same == changes.all.end() && changes.all.size() < limits::kLastingChangesMax)
        changes.all.push_back(change);
}

// A shortage in the middle of a load would look like what the plugin has done.
Verdict<void> check_descriptors() {
    std::array<UniqueFd, limits::kLoadDescriptors> spare;
    for (UniqueFd& each : spare) {
        each.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        if (!each) return refuse(refusal_of("loading", errno_error("open /dev/null", errno)));
    }
    return {};
}

}  // namespace

std::vector<std::string> lasting_changes() {
    std::vector<SettingChange> changes;
    {
        LastingChanges& all = lasting();
        const std::lock_guard lock(all.mutex);
        changes = all.all;
    }
    if (changes.empty()) return {};
    std::vector<std::string> out;
    const Settings now = read_process_settings();
    for (const SettingChange& change : changes) {
        if (has_value(now, change.name, change.from)) continue;  // Somebody has put it back.
        out.push_back("a plugin has changed this process: " + to_text(change));
    }
    return out;
}

Verdict<std::unique_ptr<Generation>> load_guarded(Generation::Setup setup) {
    EW_CHECK(check_descriptors());
    const ProcessGuard guard;
    const bool unmap_if_refused = setup.unmap_if_refused;
    auto generation = Generation::load(std::move(setup));
    const auto change = guard.change();
    if (!change) return generation;
    if (generation) {
        (*generation)->end_instance();  // It may change something, too.
        if (unmap_if_refused) (*generation)->unmap();
    }
    guard.restore();
    const auto left = guard.change();
    if (left) remember(*left);
    return refuse(
        {"load_failed", "loading", "no change of process-wide state by a load",
         left ? to_text(*left) + " (could not be put back)" : to_text(*change) + " (put back)",
         left ? "restart the daemon; then: " + left->hint : change->hint});
}

}  // namespace export_worker::plugins
