#include "base/command.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/limits.hpp"
#include "base/unique_fd.hpp"

namespace export_worker {
namespace {

using Clock = std::chrono::steady_clock;

struct Actions {
    posix_spawn_file_actions_t files{};
    posix_spawnattr_t attributes{};

    explicit Actions(int output) {
        ::posix_spawn_file_actions_init(&files);
        ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        ::posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
        ::posix_spawn_file_actions_adddup2(&files, output, STDERR_FILENO);
        ::posix_spawn_file_actions_addclosefrom_np(&files, STDERR_FILENO + 1);
        ::posix_spawnattr_init(&attributes);
        sigset_t none;
        sigemptyset(&none);
        ::posix_spawnattr_setsigmask(&attributes, &none);
        ::posix_spawnattr_setpgroup(&attributes, 0);
        ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    }
    ~Actions() {
        ::posix_spawn_file_actions_destroy(&files);
        ::posix_spawnattr_destroy(&attributes);
    }
    Actions(const Actions&) = delete;
    Actions& operator=(const Actions&) = delete;
};

Result<pid_t> start(std::vector<std::string> words, int output) {
    std::vector<char*> raw;
    raw.reserve(words.size() + 1);
    for (std::string& word : words) raw.push_back(word.data());
    raw.push_back(nullptr);
    const Actions actions(output);
    pid_t pid = 0;
    const int error =
        ::posix_spawnp(&pid, raw[0], &actions.files, &actions.attributes, raw.data(), environ);
    if (error != 0) return fail(errno_error("run " + words[0], error));
    return pid;
}

int status_of(int wait_status) {
    constexpr int kSignalled = 128;
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : kSignalled + WTERMSIG(wait_status);
}

// What can be read now. False: nothing more will come.
bool read_some(int fd, std::string& output) {
    std::array<char, 4096> chunk{};
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    const std::size_t room = limits::kCommandOutputBytesMax - output.size();
    output.append(chunk.data(), std::min(room, static_cast<std::size_t>(got)));
    return got > 0;
}

// Until the program has ended. A process that it leaves behind may hold its output for longer.
bool read_until_end(pid_t pid, int output, Clock::time_point end, CommandEnd& out) {
    // No pidfd_open(): in glibc 2.36 its header has no C linkage.
    const UniqueFd ended(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    bool open = true;
    while (true) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
        std::array<pollfd, 2> fds{{{ended.get(), POLLIN, 0}, {open ? output : -1, POLLIN, 0}}};
        if (left <= 0 || ::poll(fds.data(), fds.size(), static_cast<int>(left)) == 0) return false;
        if (fds[1].revents != 0) {
            open = read_some(output, out.output);
        } else if (fds[0].revents != 0) {
            return true;
        }
    }
}

}  // namespace

Result<CommandEnd> run_command(const std::vector<std::string>& words,
                               std::chrono::milliseconds timeout) {
    const auto end = Clock::now() + timeout;
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return fail(errno_error("make a pipe", errno));
    const UniqueFd read_end(pipe[0]);
    UniqueFd write_end(pipe[1]);
    EW_TRY(const pid_t pid, start(words, write_end.get()));
    write_end.reset();
    CommandEnd out;
    const bool in_time = read_until_end(pid, read_end.get(), end, out);
    if (!in_time) ::kill(-pid, SIGKILL);
    int wait_status = 0;
    while (::waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) continue;
    if (!in_time)
        return fail(ErrorCode::kDeadlineExceeded, "run " + words[0] + ": expected its end within " +
                                                      std::to_string(timeout.count()) +
                                                      " ms; it was killed");
    out.status = status_of(wait_status);
    return out;
}

}  // namespace export_worker
