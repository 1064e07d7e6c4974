#include "daemon/plugins/probing/probe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include "base/crypto/compare.hpp"
#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "daemon/plugins/probing/limits.hpp"
#include "daemon/plugins/probing/probe_codec.hpp"

extern char** environ;

namespace export_worker::plugins {
namespace {

constexpr const char* kStage = "probe";

struct Pipe {
    UniqueFd read_end;
    UniqueFd write_end;
};

// Above every number the child gives them, so that none overwrites another there.
UniqueFd move_up(int fd) {
    const UniqueFd low(fd);
    return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, kProbeReportFd + 1));
}

std::optional<Pipe> make_pipe() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
    Pipe out{move_up(ends[0]), move_up(ends[1])};
    if (!out.read_end || !out.write_end) return std::nullopt;
    return out;
}

// A socket: to a child that has died one can write without getting a signal for it.
std::optional<Pipe> make_input() {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return std::nullopt;
    Pipe out{move_up(ends[0]), move_up(ends[1])};
    if (!out.read_end || !out.write_end) return std::nullopt;
    return out;
}

tl::unexpected<Refusal> system_failed(const std::string& what, int error) {
    return refuse(refusal_of(kStage, errno_error(what, error)));
}

// The process, in a group of its own, with default signals and none of our descriptors.
Verdict<pid_t> spawn(const std::string& program, const Pipe& input, const Pipe& report,
                     const Pipe& output) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_adddup2(&actions, input.read_end.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, output.write_end.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, output.write_end.get(), STDERR_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, report.write_end.get(), kProbeReportFd);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, kProbeReportFd + 1);
    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(
        &attributes,
        static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP));
    std::string name = program;
    std::string flag = "--probe-plugin";
    const std::array<char*, 3> arguments{name.data(), flag.data(), nullptr};
    pid_t pid = -1;
    const int error =
        ::posix_spawn(&pid, program.c_str(), &actions, &attributes, arguments.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    if (error != 0) return system_failed("run " + program, error);
    return pid;
}

// Reads what is there. False at the end.
bool read_some(int fd, std::string& into) {
    std::array<char, 8192> chunk{};
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0) return errno == EINTR || errno == EAGAIN;
    into.append(chunk.data(), static_cast<std::size_t>(got));
    return got > 0;
}

// The same; the newest `bytes_max` bytes stay.
bool read_newest(int fd, std::string& into, std::size_t bytes_max) {
    const bool more = read_some(fd, into);
    if (into.size() > bytes_max) into.erase(0, into.size() - bytes_max);
    return more;
}

struct Collected {
    std::string report;
    std::string output;
    bool ended = false;  // The child itself, whatever else has the pipes open.

    [[nodiscard]] bool is_too_large() const { return report.size() > limits::kProbeReportBytesMax; }
};

// How long a probe may go on.
struct Patience {
    const Clock& clock;
    SteadyTime deadline;
    const std::atomic<bool>* cancelled;

    // For poll(), in slices, so that a cancellation is heard; 0: it is over.
    [[nodiscard]] int poll_ms() const {
        using std::chrono::milliseconds;
        const auto left = std::chrono::duration_cast<milliseconds>(deadline - clock.steady());
        if (left.count() <= 0 || is_cancelled()) return 0;
        return static_cast<int>(clock.block_for(std::min(left, milliseconds(100))).count());
    }
    [[nodiscard]] bool is_over() const { return is_cancelled() || clock.steady() >= deadline; }
    [[nodiscard]] bool is_cancelled() const { return cancelled != nullptr && cancelled->load(); }
};

// Until the child has ended, the time is up, or the report is too large. The ends of the pipes mean
// nothing: a candidate can close them, and a process that it forked can keep them open.
Collected collect(const UniqueFd& process, const Pipe& report, const Pipe& output,
                  const Patience& patience) {
    Collected out;
    bool report_open = true;
    bool output_open = true;
    // What the child wrote before it ended is still to be read; no pipe holds more than this.
    int rounds_left = 16;
    while (!patience.is_over() && !out.is_too_large()) {
        std::array<pollfd, 3> wanted{{{report_open ? report.read_end.get() : -1, POLLIN, 0},
                                      {output_open ? output.read_end.get() : -1, POLLIN, 0},
                                      {process.get(), POLLIN, 0}}};
        if (::poll(wanted.data(), wanted.size(), patience.poll_ms()) <= 0) continue;
        if (wanted[0].revents != 0) report_open = read_some(report.read_end.get(), out.report);
        if (wanted[1].revents != 0)
            output_open =
                read_newest(output.read_end.get(), out.output, limits::kProbeOutputBytesMax);
        const bool more = ((wanted[0].revents | wanted[1].revents) & POLLIN) != 0;
        // Empty pipes count only in a round that began after the end.
        if (out.ended && (!more || --rounds_left == 0)) break;
        out.ended = wanted[2].revents != 0;
    }
    return out;
}

// The keeper, which ends the probe and everything below it first; returns its status.
int end_keeper(pid_t pid, const UniqueFd& process, Pipe& input) {
    input.write_end.reset();  // It hears that.
    pollfd ended{process.get(), POLLIN, 0};
    if (::poll(&ended, 1, static_cast<int>(limits::kProbeEndTimeout.count())) == 0)
        log_error("a process that a plugin has started in its probe cannot be ended");
    // Before it is waited for: until then its number is no other process's.
    (void)::kill(-pid, SIGKILL);
    (void)::kill(pid, SIGKILL);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

// The last thing the candidate said, for the one who has to find out why.
std::string last_words(std::string_view output) {
    while (output.ends_with('\n')) output.remove_suffix(1);
    if (output.empty()) return {};
    const std::size_t line = output.rfind('\n');
    return "; it said: " +
           printable(output.substr(line == std::string_view::npos ? 0 : line + 1), 300);
}

std::string how_it_ended(int status) {
    if (WIFSIGNALED(status)) {
        const char* name = ::sigabbrev_np(WTERMSIG(status));
        return "it was killed by SIG" + std::string(name == nullptr ? "?" : name);
    }
    return "it exited with status " + std::to_string(WEXITSTATUS(status));
}

// By a signal that operators and the kernel send. Says nothing about the candidate.
bool was_ended_from_outside(int status) {
    if (!WIFSIGNALED(status)) return false;
    const int signal_number = WTERMSIG(status);
    return signal_number == SIGTERM || signal_number == SIGINT || signal_number == SIGHUP ||
           signal_number == SIGKILL;
}

void send_request(const Pipe& input, const ProbeRequest& request) {
    std::string text = encode_probe_request(request);
    std::string_view left = text;
    while (!left.empty()) {
        // A child that has died already shows in how it ended.
        const ssize_t put = ::send(input.write_end.get(), left.data(), left.size(), MSG_NOSIGNAL);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) break;
        left.remove_prefix(static_cast<std::size_t>(put));
    }
    crypto::wipe(text);
}

tl::unexpected<Refusal> report_spoiled(const std::string& found) {
    return refuse({"probe_failed", kStage, "descriptor 3, on which the probe reports, left alone",
                   found, "write to and close what the plugin has opened, and nothing else"});
}

// What the child said counts only if it also ended as a probe ends: a candidate can write, too.
Verdict<ProbeReport> judge(const ProbeRequest& request, const Collected& collected, int status,
                           bool cancelled) {
    ProbeEnd end = decode_probe_lines(collected.report);
    const std::string step = end.last_step.empty() ? "starting" : end.last_step;
    if (collected.is_too_large()) {
        return report_spoiled("more than " + std::to_string(limits::kProbeReportBytesMax) +
                              " bytes on it while " + step);
    }
    if (collected.ended && end.ended && status == 0) {
        // The log line above a broken contract says which rule it was.
        if (!end.verdict && end.verdict.error().code == "probe_failed")
            end.verdict.error().found += last_words(collected.output);
        return std::move(end.verdict);
    }
    if (collected.ended && WIFEXITED(status) && WEXITSTATUS(status) == kProbeNotBegun &&
        end.last_step.empty())
        return system_failed("start a probe", EAGAIN);
    if (collected.ended && WIFEXITED(status) && WEXITSTATUS(status) == kProbeReportLost)
        return report_spoiled("closed or replaced while " + step);
    if (cancelled) {
        return refuse({"cancelled", kStage, "a daemon that goes on running", "one that stops",
                       "load the file again once the daemon runs"});
    }
    if (!collected.ended && end.last_step.empty()) {
        return refuse({"probe_timeout", kStage,
                       "an answer within " + std::to_string(request.timeout.count()) + " ms",
                       "none: the candidate was still starting, no code of it has run",
                       "load it again once the machine is less busy, or raise [plugins] "
                       "probe_timeout_s",
                       false});
    }
    if (!collected.ended) {
        return refuse({"probe_timeout", kStage,
                       "an answer within " + std::to_string(request.timeout.count()) + " ms",
                       "none: the candidate was still " + step + last_words(collected.output),
                       "make that step faster, or raise [plugins] probe_timeout_s"});
    }
    if (was_ended_from_outside(status)) {
        return refuse({"probe_interrupted", kStage, "a probe that is left to its end",
                       how_it_ended(status) + " while " + step,
                       "a signal to the whole process group, or the system short of memory, does "
                       "this to any candidate; load it again"});
    }
    return refuse({"probe_crash", kStage, "a candidate that survives its probe",
                   how_it_ended(status) + " while " + step + last_words(collected.output),
                   "run it under a debugger: gdb --args export-workerd --check-plugin FILE"});
}

}  // namespace

Verdict<ProbeReport> probe(const std::string& program, const ProbeRequest& request,
                           const Clock& clock, const std::atomic<bool>* cancelled) {
    const SteadyTime started = clock.steady();
    auto input = make_input();
    auto report = make_pipe();
    auto output = make_pipe();
    if (!input || !report || !output) return system_failed("make a pipe", errno);
    EW_TRY(const pid_t pid, spawn(program, *input, *report, *output));
    // glibc 2.36 declares pidfd_open() without C linkage.
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!process) {
        const int error = errno;
        (void)end_keeper(pid, process, *input);
        return system_failed("watch a probe", error);
    }
    input->read_end = UniqueFd();
    report->write_end = UniqueFd();
    output->write_end = UniqueFd();
    send_request(*input, request);
    (void)::shutdown(input->write_end.get(), SHUT_WR);  // The end of the request.
    fault_point("plugin.probe_begun");
    const Patience patience{clock, started + request.timeout, cancelled};
    const Collected collected = collect(process, *report, *output, patience);
    const int status = end_keeper(pid, process, *input);
    const auto took = clock.steady() - started;
    auto verdict = judge(request, collected, status, patience.is_cancelled());
    if (verdict)
        verdict->took_ms = std::chrono::duration_cast<std::chrono::milliseconds>(took).count();
    return verdict;
}

}  // namespace export_worker::plugins
