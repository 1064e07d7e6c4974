#include "daemon/plugins/probing/process_state.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstring>
#include <exception>
#include <locale>
#include <memory>
#include <new>
#include <string_view>

#include "base/text.hpp"
#include "daemon/plugins/running/fp_state.hpp"

extern char** environ;

namespace export_worker::plugins {
namespace {

constexpr std::string_view kEnvironment = "environment variable ";
constexpr std::string_view kDescriptor = "descriptor ";

std::string hex_text(std::uint64_t value) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string out;
    do {
        out.insert(out.begin(), kDigits[value % 16]);
        value /= 16;
    } while (value != 0);
    return "0x" + out;
}

std::string address_text(const void* address) {
    return address == nullptr ? "none" : hex_text(reinterpret_cast<std::uintptr_t>(address));
}

std::string unreadable() {
    return std::string("unreadable (") + std::strerror(errno) + ")";
}

std::string link_target(const std::string& path) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    if (size < 0) return unreadable();
    return printable({target.data(), static_cast<std::size_t>(size)}, 200);
}

// A file of /proc, which has no size; empty: not there.
std::string proc_text(const char* path) {
    const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {};
    std::string out;
    std::array<char, 4096> chunk{};
    for (ssize_t got = 1; got > 0;) {
        got = ::read(fd, chunk.data(), chunk.size());
        if (got > 0) out.append(chunk.data(), static_cast<std::size_t>(got));
    }
    ::close(fd);
    return out;
}

// Of this process in /proc: "NAME:" and its value; empty: not there. Nothing here reads a file of a
// thread (/proc/thread-self, /proc/self/task): where a thread has such files, the kernel takes them
// away at its end, and a process that is reaped at that moment can spin in the kernel for seconds.
std::string status_field(std::string_view status, std::string_view name) {
    std::size_t begin = status.find("\n" + std::string(name) + ":");
    if (begin == std::string_view::npos) return {};
    begin = status.find(':', begin) + 1;
    std::string_view value = status.substr(begin, status.find('\n', begin) - begin);
    while (!value.empty() && (value.front() == '\t' || value.front() == ' '))
        value.remove_prefix(1);
    return std::string(value);
}

void add_status(Settings& out, const char* field, const char* name) {
    out.push_back({name, status_field(proc_text("/proc/self/status"), field)});
}

void add_ids(Settings& out) {
    std::array<uid_t, 3> uids{};
    std::array<gid_t, 3> gids{};
    std::vector<gid_t> groups(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
    const auto text = [](const auto& numbers) {
        std::string joined;
        for (const auto number : numbers)
            joined += (joined.empty() ? "" : " ") + std::to_string(number);
        return joined;
    };
    if (::getresuid(&uids[0], &uids[1], &uids[2]) == 0) out.push_back({"user ids", text(uids)});
    if (::getresgid(&gids[0], &gids[1], &gids[2]) == 0) out.push_back({"group ids", text(gids)});
    // With an id that does not exist they change nothing and return the present one.
    out.push_back({"file system ids", text(std::array{::setfsuid(static_cast<uid_t>(-1)),
                                                      ::setfsgid(static_cast<gid_t>(-1))})});
    if (::getgroups(static_cast<int>(groups.size()), groups.data()) >= 0)
        out.push_back({"supplementary groups", text(groups)});
}

// "0-3,6".
std::string affinity_text() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof set, &set) != 0) return unreadable();
    std::string out;
    for (std::size_t first = 0; first < CPU_SETSIZE; ++first) {
        if (!CPU_ISSET(first, &set)) continue;
        std::size_t last = first;
        while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &set)) ++last;
        out += (out.empty() ? "" : ",") + std::to_string(first) +
               (last > first ? "-" + std::to_string(last) : "");
        first = last;
    }
    return out;
}

void add_capabilities(Settings& out) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{};
    if (::syscall(SYS_capget, &header, sets.data()) != 0) return;
    const auto text = [&](std::uint32_t __user_cap_data_struct::*set) {
        return hex_text(std::uint64_t{sets[1].*set} << 32U | sets[0].*set);
    };
    out.push_back({"effective capabilities", text(&__user_cap_data_struct::effective)});
    out.push_back({"permitted capabilities", text(&__user_cap_data_struct::permitted)});
    std::uint64_t bounding = 0;
    for (unsigned number = 0; number < 64; ++number) {
        if (::prctl(PR_CAPBSET_READ, number, 0, 0, 0) == 1) bounding |= std::uint64_t{1} << number;
    }
    out.push_back({"bounding capabilities", hex_text(bounding)});
}

std::string signal_name(int number) {
    const char* const name = ::sigabbrev_np(number);
    return name == nullptr ? "signal " + std::to_string(number) : "SIG" + std::string(name);
}

std::string signals_text(const sigset_t& set) {
    std::string out;
    for (int number = 1; number < NSIG; ++number) {
        if (::sigismember(&set, number) == 1) out += (out.empty() ? "" : " ") + signal_name(number);
    }
    return out.empty() ? "no signal" : out;
}

std::string limit_text(rlim_t value) {
    return value == RLIM_INFINITY ? "unlimited" : std::to_string(value);
}

void add_limits(Settings& out) {
    struct Limit {
        __rlimit_resource resource;
        const char* name;
    };
    constexpr auto kLimits = std::to_array<Limit>({{RLIMIT_NOFILE, "open files"},
                                                   {RLIMIT_AS, "address space"},
                                                   {RLIMIT_CORE, "core files"},
                                                   {RLIMIT_CPU, "CPU time"},
                                                   {RLIMIT_DATA, "data segment"},
                                                   {RLIMIT_FSIZE, "file size"},
                                                   {RLIMIT_LOCKS, "file locks"},
                                                   {RLIMIT_MEMLOCK, "locked memory"},
                                                   {RLIMIT_MSGQUEUE, "message queues"},
                                                   {RLIMIT_NICE, "nice value"},
                                                   {RLIMIT_NPROC, "processes"},
                                                   {RLIMIT_RSS, "resident memory"},
                                                   {RLIMIT_RTPRIO, "real-time priority"},
                                                   {RLIMIT_RTTIME, "real-time CPU time"},
                                                   {RLIMIT_SIGPENDING, "pending signals"},
                                                   {RLIMIT_STACK, "stack"}});
    for (const Limit& each : kLimits) {
        rlimit bound{};
        if (::getrlimit(each.resource, &bound) != 0) continue;
        out.push_back({"limit of " + std::string(each.name),
                       limit_text(bound.rlim_cur) + ", hard " + limit_text(bound.rlim_max)});
    }
}

std::string disposition_text(const struct sigaction& action) {
    if (action.sa_handler == SIG_DFL) return "the default";
    if (action.sa_handler == SIG_IGN) return "ignored";
    return "a handler at " + address_text(reinterpret_cast<const void*>(action.sa_handler)) +
           ", flags " + hex_text(static_cast<unsigned>(action.sa_flags)) + ", mask " +
           signals_text(action.sa_mask);
}

void add_signals(Settings& out) {
    for (int number = 1; number < NSIG; ++number) {
        struct sigaction action {};
        if (::sigaction(number, nullptr, &action) == 0)
            out.push_back({"disposition of " + signal_name(number), disposition_text(action)});
    }
}

void add_timers(Settings& out) {
    struct Timer {
        __itimer_which which;
        const char* name;
    };
    for (const Timer& each : {Timer{ITIMER_REAL, "interval timer ITIMER_REAL"},
                              Timer{ITIMER_VIRTUAL, "interval timer ITIMER_VIRTUAL"},
                              Timer{ITIMER_PROF, "interval timer ITIMER_PROF"}}) {
        itimerval timer{};
        if (::getitimer(each.which, &timer) != 0) continue;
        const bool runs = timer.it_value.tv_sec != 0 || timer.it_value.tv_usec != 0;
        out.push_back({each.name, runs ? "running" : "stopped"});
    }
}

void add_control(Settings& out, int option, const char* name) {
    int value = 0;
    if (::prctl(option, &value, 0, 0, 0) == 0) out.push_back({name, std::to_string(value)});
}

void add_returned_control(Settings& out, int option, const char* name) {
    const int value = ::prctl(option, 0, 0, 0, 0);
    if (value >= 0) out.push_back({name, std::to_string(value)});
}

void add_process_controls(Settings& out) {
    add_returned_control(out, PR_GET_DUMPABLE, "dumpable");
    add_returned_control(out, PR_GET_THP_DISABLE, "transparent huge pages disabled");
    add_control(out, PR_GET_CHILD_SUBREAPER, "child subreaper");
    out.push_back({"personality", hex_text(static_cast<unsigned>(::personality(0xffffffff)))});
    std::string score = proc_text("/proc/self/oom_score_adj");
    out.push_back({"oom_score_adj", without_line_end(std::move(score))});
    for (const char* const kind :
         {"cgroup", "ipc", "mnt", "net", "pid_for_children", "user", "uts"})
        out.push_back(
            {"namespace " + std::string(kind), link_target("/proc/self/ns/" + std::string(kind))});
}

Setting descriptor_setting(int fd) {
    const std::string number = std::to_string(fd);
    return {std::string(kDescriptor) + number,
            link_target("/proc/self/fd/" + number) + ", flags " +
                hex_text(static_cast<unsigned>(::fcntl(fd, F_GETFL))) +
                (::fcntl(fd, F_GETFD) == FD_CLOEXEC ? ", close-on-exec" : "")};
}

void add_environment(Settings& out) {
    for (char** each = environ; each != nullptr && *each != nullptr; ++each) {
        const std::string_view entry(*each);
        const std::size_t end = std::min(entry.find('='), entry.size());
        out.push_back({std::string(kEnvironment) + printable(entry.substr(0, end)),
                       std::string(entry.substr(end))});
    }
}

std::string hint_for(std::string_view name) {
    struct Advice {
        std::string_view prefix;
        const char* text;
    };
    constexpr auto kAdvice = std::to_array<Advice>(
        {{"working directory", "use absolute paths or openat()"},
         {"umask", "pass the mode to open() and mkdir(), correct it with fchmod()"},
         {"locale", "newlocale() and the functions that end in _l need no change of the locale"},
         {"C++ locale", "give streams a locale with imbue()"},
         {"floating-point mode", "do not link with -Ofast or -ffast-math; they set flush-to-zero"},
         {"limit of", "limits belong to the operator of the daemon"},
         {"disposition of", "signals belong to the daemon"},
         {"signal mask", "restore it with pthread_sigmask() before the call returns"},
         {kDescriptor, "close what the plugin has opened, and nothing else"},
         {kEnvironment, "read settings from args of create()"}});
    for (const Advice& each : kAdvice) {
        if (name.starts_with(each.prefix)) return each.text;
    }
    return "leave it as it was: the daemon and its other plugins share it";
}

const Setting* find(const Settings& settings, std::string_view name) {
    const auto found = std::ranges::find(settings, name, &Setting::name);
    return found == settings.end() ? nullptr : &*found;
}

std::string missing(std::string_view name) {
    return name.starts_with(kDescriptor) ? "closed" : "unset";
}

std::string shown(const Setting& setting) {
    if (setting.name.starts_with(kEnvironment)) return "set";
    return setting.value.empty() ? "empty" : setting.value;
}

}  // namespace

Settings read_process_settings() {
    Settings out;
    add_limits(out);  // First: with fewer open files the rest is unreadable.
    out.push_back({"working directory", link_target("/proc/self/cwd")});
    out.push_back({"root directory", link_target("/proc/self/root")});
    add_status(out, "Umask", "umask");
    add_ids(out);
    out.push_back({"process group", std::to_string(::getpgrp())});
    out.push_back({"session", std::to_string(::getsid(0))});
    const char* const locale = ::setlocale(LC_ALL, nullptr);
    out.push_back({"locale", locale == nullptr ? "none" : locale});
    out.push_back({"C++ locale", std::locale().name()});
    out.push_back({"std::terminate handler",
                   address_text(reinterpret_cast<const void*>(std::get_terminate()))});
    out.push_back(
        {"std::new handler", address_text(reinterpret_cast<const void*>(std::get_new_handler()))});
    add_signals(out);
    add_timers(out);
    add_process_controls(out);
    add_environment(out);
    return out;
}

Settings read_thread_settings() {
    Settings out;
    sigset_t mask{};
    if (::pthread_sigmask(SIG_SETMASK, nullptr, &mask) == 0)
        out.push_back({"signal mask", signals_text(mask)});
    out.push_back({"locale of the thread",
                   ::uselocale(nullptr) == LC_GLOBAL_LOCALE
                       ? "the process's"
                       : address_text(static_cast<const void*>(::uselocale(nullptr)))});
    out.push_back({"floating-point mode", hex_text(FpState::read_control())});
    errno = 0;
    out.push_back({"nice value", std::to_string(::getpriority(PRIO_PROCESS, 0))});
    out.push_back({"scheduling policy", std::to_string(::sched_getscheduler(0))});
    constexpr int kOfThread = 1;  // IOPRIO_WHO_PROCESS, which no header has.
    out.push_back({"I/O priority", std::to_string(::syscall(SYS_ioprio_get, kOfThread, 0))});
    add_control(out, PR_GET_PDEATHSIG, "parent death signal");
    add_returned_control(out, PR_GET_TIMERSLACK, "timer slack");
    add_returned_control(out, PR_GET_SECUREBITS, "securebits");
    add_returned_control(out, PR_GET_NO_NEW_PRIVS, "no_new_privs");
    add_returned_control(out, PR_GET_SECCOMP, "seccomp mode");
    out.push_back({"CPU affinity", affinity_text()});
    add_capabilities(out);
    return out;
}

std::size_t count_threads() {
    const auto threads = parse_unsigned(status_field(proc_text("/proc/self/status"), "Threads"));
    return threads ? static_cast<std::size_t>(*threads) : 0;
}

Settings read_descriptors() {
    Settings out;
    const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir("/proc/self/fd"), ::closedir);
    if (!open) return {{"descriptors", unreadable()}};
    while (const dirent* const entry = ::readdir(open.get())) {
        const auto number = parse_unsigned(entry->d_name);
        if (!number || *number == static_cast<std::uint64_t>(::dirfd(open.get()))) continue;
        out.push_back(descriptor_setting(static_cast<int>(*number)));
    }
    return out;
}

Settings read_stdio() {
    Settings out;
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
        if (::fcntl(fd, F_GETFD) >= 0) out.push_back(descriptor_setting(fd));
    }
    return out;
}

Settings read_loans() {
    const std::string timers = "\n" + proc_text("/proc/self/timers");
    constexpr std::string_view kFirstLine = "\nID:";
    std::size_t count = 0;
    for (std::size_t at = 0; (at = timers.find(kFirstLine, at)) != std::string::npos; ++at) ++count;
    Settings out{{"number of POSIX timers", std::to_string(count)}};
    add_status(out, "VmLck", "locked memory");
    return out;
}

bool has_value(const Settings& settings, const std::string& name, const std::string& wanted) {
    const Setting* const setting = find(settings, name);
    return (setting == nullptr ? missing(name) : shown(*setting)) == wanted;
}

std::string to_text(const SettingChange& change) {
    return change.name + " was " + change.from + ", is " + change.to;
}

std::optional<SettingChange> first_change(const Settings& before, const Settings& after) {
    for (const Setting& was : before) {
        const Setting* const is = find(after, was.name);
        if (is != nullptr && is->value == was.value) continue;
        const bool hidden = is != nullptr && was.name.starts_with(kEnvironment);
        const std::string to = is == nullptr ? missing(was.name)
                               : hidden      ? "set to another value"
                                             : shown(*is);
        return SettingChange{was.name, shown(was), to, hint_for(was.name)};
    }
    return std::nullopt;
}

std::optional<SettingChange> first_addition(const Settings& before, const Settings& after) {
    for (const Setting& is : after) {
        if (find(before, is.name) == nullptr)
            return SettingChange{is.name, missing(is.name), shown(is), hint_for(is.name)};
    }
    return std::nullopt;
}

}  // namespace export_worker::plugins
