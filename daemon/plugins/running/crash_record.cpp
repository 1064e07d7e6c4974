#include "daemon/plugins/running/crash_record.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>

#include "base/assert.hpp"
#include "base/io.hpp"
#include "daemon/plugins/running/limits.hpp"

namespace export_worker::plugins {
namespace {

constexpr std::array kFatalSignals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

std::atomic<int> crash_fd{-1};
thread_local const std::string* line_of_this_thread = nullptr;

// Async-signal-safe.
void record_crash() {
    const std::string* const line = line_of_this_thread;
    if (line == nullptr) return;
    line_of_this_thread = nullptr;
    // Nothing is left to do when it fails.
    if (::write(crash_fd.load(), line->data(), line->size()) < 0) return;
}

void on_fatal_signal(int number) {
    const int error = errno;
    record_crash();
    errno = error;
    // SA_RESETHAND: this time it ends the process, once the handler has returned.
    (void)::raise(number);
}

// Only main() ends the daemon. A plugin that calls exit(0) on another thread would tell the service
// manager that nothing is wrong and no restart is needed.
void on_exit() {
    record_crash();
    if (::gettid() != ::getpid()) std::abort();
}

void install_handlers() {
    for (const int number : kFatalSignals) {
        struct sigaction action {};
        if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
        action = {};
        action.sa_handler = on_fatal_signal;
        action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_ONSTACK;
        (void)::sigaction(number, &action, nullptr);
    }
    (void)std::atexit(on_exit);
}

// For a handler that runs after the thread's own stack has overflowed.
class SignalStack {
public:
    SignalStack() {
        stack_t other{};
        if (::sigaltstack(nullptr, &other) != 0 || (other.ss_flags & SS_DISABLE) == 0) return;
        memory_ = std::make_unique<std::array<char, kBytes>>();
        stack_t mine{};
        mine.ss_sp = memory_->data();
        mine.ss_size = kBytes;
        (void)::sigaltstack(&mine, nullptr);
    }
    SignalStack(const SignalStack&) = delete;
    SignalStack& operator=(const SignalStack&) = delete;
    ~SignalStack() {
        stack_t none{};
        none.ss_flags = SS_DISABLE;
        if (memory_) (void)::sigaltstack(&none, nullptr);
    }

private:
    static constexpr std::size_t kBytes = 64 * 1024;
    std::unique_ptr<std::array<char, kBytes>> memory_;
};

// A key frees it at the end of the thread. To register a destructor of a thread-local object takes
// the dynamic loader's lock, which a plugin holds for ever whose constructor hangs.
pthread_key_t stack_key() {
    static const pthread_key_t key = [] {
        pthread_key_t made{};
        const int error = ::pthread_key_create(
            &made, [](void* stack) { delete static_cast<SignalStack*>(stack); });
        EW_ASSERT(error == 0);
        return made;
    }();
    return key;
}

void make_signal_stack() {
    thread_local bool made = false;
    if (made) return;
    made = true;
    auto stack = std::make_unique<SignalStack>();
    if (::pthread_setspecific(stack_key(), stack.get()) == 0) (void)stack.release();
}

}  // namespace

Result<std::unique_ptr<CrashRecorder>> CrashRecorder::open(const std::string& path) {
    UniqueFd file(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file) return fail(errno_error("open " + path, errno));
    return std::unique_ptr<CrashRecorder>(new CrashRecorder(std::move(file)));
}

CrashRecorder::CrashRecorder(UniqueFd file) : file_(std::move(file)) {
    crash_fd.store(file_.get());
    static const bool installed = [] {
        install_handlers();
        return true;
    }();
    (void)installed;
}

CrashRecorder::~CrashRecorder() {
    int mine = file_.get();
    crash_fd.compare_exchange_strong(mine, -1);
}

InPlugin::InPlugin(const std::string& line) noexcept {
    make_signal_stack();
    line_of_this_thread = &line;
}

InPlugin::~InPlugin() {
    line_of_this_thread = nullptr;
}

std::string encode_crash(const CrashedFile& crashed) {
    return crashed.plugin + " " + crashed.sha256 + "\n";
}

Result<std::vector<CrashedFile>> take_crashes(const std::string& path) {
    std::vector<CrashedFile> out;
    if (::access(path.c_str(), F_OK) != 0) return out;
    EW_TRY(const std::string text, read_file(path, limits::kPluginCrashesBytesMax));
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find('\n', begin), text.size());
        const std::string line = text.substr(begin, end - begin);
        const std::size_t space = line.rfind(' ');
        if (space != std::string::npos)
            out.push_back({line.substr(0, space), line.substr(space + 1)});
        begin = end + 1;
    }
    if (::unlink(path.c_str()) != 0) return fail(errno_error("delete " + path, errno));
    return out;
}

}  // namespace export_worker::plugins
