#include "daemon/plugins/probing/surroundings.hpp"

#include <fcntl.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

#include "base/unique_fd.hpp"
#include "daemon/plugins/probing/child_processes.hpp"

namespace export_worker::plugins {
namespace {

tl::unexpected<Refusal> failed(std::string expected, std::string found, std::string hint) {
    return refuse(
        {"probe_failed", "probe", std::move(expected), std::move(found), std::move(hint)});
}

tl::unexpected<Refusal> changed(const SettingChange& change, const std::string& step) {
    return failed("no change of process-wide state " + step, to_text(change), change.hint);
}

// A thread that was told to end takes a moment to do so.
std::size_t settled_threads(std::size_t wanted) {
    std::size_t threads = count_threads();
    for (int round = 0; round < 100 && threads > wanted; ++round) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        threads = count_threads();
    }
    return threads;
}

}  // namespace

Verdict<void> check_same(const Settings& before, const Settings& after, const std::string& step) {
    if (const auto change = first_change(before, after)) return changed(*change, step);
    return {};
}

Surroundings::Surroundings()
    : process_(read_process_settings()),
      thread_(read_thread_settings()),
      descriptors_(read_descriptors()),
      loans_(read_loans()),
      threads_(count_threads()) {}

Verdict<void> Surroundings::check_unchanged(const std::string& step) const {
    // What is compared below is read from files of /proc.
    const UniqueFd free(::open("/proc/self", O_PATH | O_CLOEXEC));
    if (!free) {
        return failed("a descriptor that is still free " + step, std::strerror(errno),
                      "close what a call has opened before it returns");
    }
    const Settings process = read_process_settings();
    EW_CHECK(check_same(process_, process, step));
    if (const auto added = first_addition(process_, process)) return changed(*added, step);
    EW_CHECK(check_same(thread_, read_thread_settings(), step));
    return check_same(descriptors_, read_descriptors(), step);
}

Verdict<void> Surroundings::check_nothing_left(const std::string& when) const {
    if (const std::size_t threads = settled_threads(threads_); threads > threads_) {
        return failed("no thread of the plugin " + when,
                      std::to_string(threads - threads_) + " more than before",
                      "start threads in create(), join them in quiesce() or destroy()");
    }
    if (const auto added = first_addition(descriptors_, read_descriptors())) {
        return failed("no open file of the plugin " + when, added->name + ": " + added->to,
                      "close in destroy() what create() and handle() opened");
    }
    if (has_children())
        return failed("no process of the plugin " + when, "at least one",
                      "a plugin starts no processes");
    if (const auto change = first_change(loans_, read_loans())) {
        return failed("timers and locked memory given back " + when, to_text(*change),
                      "timer_delete() and munlock() in destroy()");
    }
    return {};
}

}  // namespace export_worker::plugins
