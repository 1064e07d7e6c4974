#include "daemon/plugins/probing/process_state.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cfenv>
#include <cstdio>
#include <exception>
#include <functional>
#include <locale>
#include <new>

namespace export_worker::plugins {
namespace {

// Both directions: what has another value or is gone, and what is new.
std::string difference(const Settings& before, const Settings& after) {
    if (const auto change = first_change(before, after)) return to_text(*change);
    if (const auto added = first_addition(before, after)) return to_text(*added);
    return "no change";
}

struct Mischief {
    const char* name;
    Settings (*read)();
    std::function<void()> change;
    const char* expected;  // A regular expression.
};

// What tests before this one, and whoever shares its input, may have changed already.
void begin_anew() {
    ::prctl(PR_SET_DUMPABLE, 1);
    ::dup2(::open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
}

// In a child process of its own, because most of it cannot be taken back.
void expect_found(const Mischief& each) {
    EXPECT_EXIT(
        {
            begin_anew();
            const Settings before = each.read();
            each.change();
            std::fprintf(stderr, "%s\n", difference(before, each.read()).c_str());
            ::_exit(0);
        },
        ::testing::ExitedWithCode(0), each.expected)
        << each.name;
}

void limit_open_files() {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_NOFILE, &none);
}

void handle_a_signal() {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR2, &action, nullptr);
}

void start_a_timer() {
    const itimerval hour{{0, 0}, {3600, 0}};
    ::setitimer(ITIMER_REAL, &hour, nullptr);
}

void make_a_timer() {
    sigevent none{};
    none.sigev_notify = SIGEV_NONE;
    timer_t timer{};
    ::timer_create(CLOCK_MONOTONIC, &none, &timer);
}

void block_a_signal() {
    sigset_t set{};
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

void use_one_processor() {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    ::sched_setaffinity(0, sizeof one, &one);
}

void write_oom_score() {
    const int fd = ::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    EXPECT_EQ(::write(fd, "999", 3), 3);
    ::close(fd);
}

TEST(ProcessState, ReadingChangesNothing) {
    EXPECT_EQ(difference(read_process_settings(), read_process_settings()), "no change");
    EXPECT_EQ(difference(read_thread_settings(), read_thread_settings()), "no change");
    EXPECT_EQ(difference(read_descriptors(), read_descriptors()), "no change");
    EXPECT_EQ(difference(read_loans(), read_loans()), "no change");
}

TEST(ProcessState, NamesWhatChangedForTheProcess) {
    for (const Mischief& each : {
             Mischief{"cwd", read_process_settings, [] { EXPECT_EQ(::chdir("/proc"), 0); },
                      "working directory was /.*, is /proc"},
             Mischief{"umask", read_process_settings, [] { ::umask(0123); },
                      "umask was 0..., is 0123"},
             Mischief{"limit", read_process_settings, limit_open_files,
                      "limit of open files was .*, is 0, hard 0"},
             Mischief{"locale", read_process_settings, [] { ::setlocale(LC_ALL, "C.UTF-8"); },
                      "locale was C, is C.UTF-8"},
             Mischief{"C++ locale", read_process_settings,
                      [] { std::locale::global(std::locale("C.UTF-8")); }, "ocale was C, is C.UTF"},
             Mischief{"handler", read_process_settings, handle_a_signal,
                      "disposition of SIGUSR2 was the default, is a handler at 0x"},
             Mischief{"ignored", read_process_settings, [] { ::signal(SIGCHLD, SIG_IGN); },
                      "disposition of SIGCHLD was the default, is ignored"},
             Mischief{"timer", read_process_settings, start_a_timer,
                      "interval timer ITIMER_REAL was stopped, is running"},
             Mischief{"dumpable", read_process_settings, [] { ::prctl(PR_SET_DUMPABLE, 0); },
                      "dumpable was 1, is 0|unreadable"},
             Mischief{"subreaper", read_process_settings,
                      [] { ::prctl(PR_SET_CHILD_SUBREAPER, 1); }, "child subreaper was 0, is 1"},
             Mischief{"oom", read_process_settings, write_oom_score,
                      "oom_score_adj was .*, is 999"},
             Mischief{"personality", read_process_settings,
                      [] { ::personality(ADDR_NO_RANDOMIZE); }, "personality was 0x0, is 0x40000"},
             Mischief{"group", read_process_settings, [] { ::setpgid(0, 0); },
                      "process group was [0-9]+, is [0-9]+"},
             Mischief{"terminate", read_process_settings,
                      [] { std::set_terminate([] { ::_exit(1); }); },
                      "std::terminate handler was 0x.*, is 0x"},
             Mischief{"new", read_process_settings, [] { std::set_new_handler([] {}); },
                      "std::new handler was none, is 0x"},
         })
        expect_found(each);
}

TEST(ProcessState, NamesWhatChangedForTheThread) {
    for (const Mischief& each : {
             Mischief{"mask", read_thread_settings, block_a_signal,
                      "signal mask was no signal, is SIGTERM"},
             Mischief{"nice", read_thread_settings,
                      [] { ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) + 1); },
                      "nice value was -?[0-9]+, is -?[0-9]+"},
             Mischief{"locale", read_thread_settings,
                      [] { ::uselocale(::newlocale(LC_ALL_MASK, "C.UTF-8", nullptr)); },
                      "locale of the thread was the process's, is 0x"},
             Mischief{"floating point", read_thread_settings, [] { std::fesetround(FE_UPWARD); },
                      "floating-point mode was 0x.*, is 0x"},
             Mischief{"affinity", read_thread_settings, use_one_processor,
                      "CPU affinity was 0-.*, is 0|no change"},  // One processor: nothing changes.
             Mischief{"privileges", read_thread_settings,
                      [] { ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }, "no_new_privs was 0, is 1"},
             Mischief{"slack", read_thread_settings, [] { ::prctl(PR_SET_TIMERSLACK, 1234567); },
                      "timer slack was [0-9]+, is 1234567"},
         })
        expect_found(each);
}

TEST(ProcessState, NamesDescriptorsAndWhatIsNotGivenBack) {
    for (const Mischief& each : {
             Mischief{"closed", read_descriptors, [] { ::close(0); },
                      "descriptor 0 was .*, is closed"},
             Mischief{"replaced", read_descriptors,
                      [] { ::dup2(::open("/dev/zero", O_RDONLY | O_CLOEXEC), 0); },
                      "descriptor 0 was .*, is /dev/zero"},
             Mischief{"flags", read_descriptors,
                      [] { ::fcntl(0, F_SETFL, ::fcntl(0, F_GETFL) | O_NONBLOCK); },
                      "descriptor 0 was .*, is .*, flags 0x"},
             Mischief{"opened", read_descriptors, [] { ::dup2(0, 250); },
                      "descriptor 250 was closed, is "},
             Mischief{"timer", read_loans, make_a_timer,
                      "number of POSIX timers was 0, is 1|no change"},  // Not in every kernel.
             Mischief{"memory", read_loans,
                      [] {
                          static char page[4096];
                          ::mlock(page, sizeof page);
                      },
                      "locked memory was 0 kB, is [48] kB|no change"},  // RLIMIT_MEMLOCK may be 0.
         })
        expect_found(each);
}

// They may be secrets.
TEST(ProcessState, DoesNotShowValuesOfEnvironmentVariables) {
    for (const Mischief& each : {
             Mischief{"changed", read_process_settings, [] { ::setenv("PATH", "secret", 1); },
                      "^environment variable PATH was set, is set to another value\n$"},
             Mischief{"removed", read_process_settings, [] { ::unsetenv("PATH"); },
                      "^environment variable PATH was set, is unset\n$"},
             Mischief{"added", read_process_settings, [] { ::setenv("ADDED", "secret", 1); },
                      "^environment variable ADDED was unset, is set\n$"},
         })
        expect_found(each);
}

TEST(ProcessState, SaysWhatToDoInstead) {
    const auto change = first_change({{"umask", "0022"}}, {{"umask", "0000"}});
    ASSERT_TRUE(change);
    EXPECT_NE(change->hint.find("fchmod"), std::string::npos);
    EXPECT_FALSE(first_change({{"something", "1"}}, {{"something", "2"}})->hint.empty());
}

}  // namespace
}  // namespace export_worker::plugins
