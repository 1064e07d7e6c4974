// A process that has inherited everything from one that has ended: what a plugin leaves behind when
// it forks and the daemon dies.
#pragma once

#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>

namespace export_worker::testing {

class Orphan {
public:
    // `own` runs in the process that ends; what it opens it must leave open.
    explicit Orphan(const std::function<void()>& own) {
        std::array<int, 2> ends{};
        if (::pipe(ends.data()) != 0) return;
        const pid_t parent = ::fork();
        if (parent == 0) {
            own();
            const pid_t orphan = ::fork();
            if (orphan == 0) {
                for (;;) ::pause();
            }
            const ssize_t put = ::write(ends[1], &orphan, sizeof orphan);
            ::_exit(put == sizeof orphan ? 0 : 1);
        }
        if (::read(ends[0], &pid_, sizeof pid_) != sizeof pid_) pid_ = -1;
        (void)::waitpid(parent, nullptr, 0);
        ::close(ends[0]);
        ::close(ends[1]);
    }
    ~Orphan() {
        if (pid_ > 0) ::kill(pid_, SIGKILL);
    }
    Orphan(const Orphan&) = delete;
    Orphan& operator=(const Orphan&) = delete;

    [[nodiscard]] bool runs() const { return pid_ > 0 && ::kill(pid_, 0) == 0; }

private:
    pid_t pid_ = -1;
};

}  // namespace export_worker::testing
