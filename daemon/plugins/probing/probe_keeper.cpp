#include "daemon/plugins/probing/probe_keeper.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/unique_fd.hpp"
#include "daemon/plugins/probing/child_processes.hpp"
#include "daemon/plugins/probing/probe_codec.hpp"

namespace export_worker::plugins {
namespace {

// Its exit status, as waitpid() has it.
int end_probe(pid_t probe) {
    (void)::kill(probe, SIGKILL);
    int status = SIGKILL;
    while (::waitpid(probe, &status, 0) < 0 && errno == EINTR) {
    }
    return status;
}

// Orphans of those that die become children of this process, so it takes more than one round.
void end_children() {
    do {
        for (const pid_t pid : read_children()) (void)::kill(pid, SIGKILL);
    } while (::waitpid(-1, nullptr, 0) >= 0 || errno == EINTR);
}

// Not what a person or a shell has put there.
bool is_socket(int fd) {
    struct stat info {};
    return ::fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

// Until the probe has ended, or the daemon has closed its end of stdin.
void wait_for_end(pid_t probe) {
    // glibc 2.36 declares pidfd_open() without C linkage.
    const UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, probe, 0)));
    if (!process) return;
    std::array<pollfd, 2> wanted{
        {{process.get(), POLLIN, 0}, {is_socket(STDIN_FILENO) ? STDIN_FILENO : -1, 0, 0}}};
    while (::poll(wanted.data(), wanted.size(), -1) < 0 && errno == EINTR) {
    }
}

[[noreturn]] void end_as(int status) {
    if (WIFSIGNALED(status)) {
        const rlimit none{0, 0};
        (void)::setrlimit(RLIMIT_CORE, &none);
        (void)::signal(WTERMSIG(status), SIG_DFL);
        (void)::raise(WTERMSIG(status));
    }
    ::_exit(WIFEXITED(status) ? WEXITSTATUS(status) : kProbeReportLost);
}

}  // namespace

void keep_probe(const std::function<int()>& probe) {
    (void)::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    const pid_t pid = ::fork();
    if (pid == 0) {
        (void)::setpgid(0, 0);
        ::_exit(probe());
    }
    // The pipes are the probe's: the daemon reads to their end.
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO, kProbeReportFd}) (void)::close(fd);
    if (pid < 0) ::_exit(kProbeNotBegun);
    wait_for_end(pid);
    const int status = end_probe(pid);
    end_children();
    end_as(status);
}

}  // namespace export_worker::plugins
