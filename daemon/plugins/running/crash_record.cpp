#include "daemon/plugins/running/crash_record.hpp"

#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <sstream>

#include "base/assert.hpp"
#include "base/io.hpp"
#include "base/thread_role.hpp"
#include "daemon/plugins/running/limits.hpp"

namespace export_worker::plugins {
namespace {

constexpr std::array kFatalSignals{SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};

std::atomic<int> crash_fd{-1};
thread_local const std::string* line_of_this_thread = nullptr;

// Where the code of a plugin image is mapped, for signal handlers: no lock, no allocation.
struct Image {
    std::atomic<std::uintptr_t> begin{0};  // 0: not in use. Stored last.
    std::atomic<std::uintptr_t> end{0};
    std::array<char, limits::kPluginCrashLineBytesMax> line{};
    std::size_t line_bytes = 0;
};
std::array<Image, limits::kPluginImagesMax> images;

// By path: which of `images` it has. Never destroyed: plugins' threads outlive main().
std::mutex images_mutex;
std::map<std::string, Image*>& images_by_path() {
    static auto& map = *new std::map<std::string, Image*>();
    return map;
}

// Async-signal-safe, like all down to record_crash().
const Image* find_image(std::uintptr_t address) {
    for (const Image& image : images) {
        const std::uintptr_t begin = image.begin.load(std::memory_order_acquire);
        if (begin != 0 && address >= begin && address < image.end.load(std::memory_order_relaxed))
            return &image;
    }
    return nullptr;
}

struct CrashPlace {
    std::uintptr_t instruction = 0;
    std::uintptr_t stack = 0;
};

CrashPlace place_of(const void* context) {
    const mcontext_t& machine = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
    return {static_cast<std::uintptr_t>(machine.gregs[REG_RIP]),
            static_cast<std::uintptr_t>(machine.gregs[REG_RSP])};
#elif defined(__aarch64__)
    return {machine.pc, machine.sp};
#else
    (void)machine;
    return {};
#endif
}

// The first word on the stack that is an address in a plugin's code. The kernel reads the words:
// where the stack ends is not known here, and the crash may have damaged it.
const Image* find_image_on_stack(std::uintptr_t stack) {
    std::array<std::uintptr_t, 512> words{};
    const std::uintptr_t end = stack + limits::kPluginCrashStackBytesMax;
    for (std::uintptr_t at = stack; at < end;) {
        const std::size_t size = sizeof words - at % sizeof words;  // Up to the end of the page.
        const iovec to{words.data(), size};
        // NOLINTNEXTLINE(performance-no-int-to-ptr): a register is a number.
        const iovec from{reinterpret_cast<void*>(at), size};
        const ssize_t got = ::process_vm_readv(::getpid(), &to, 1, &from, 1, 0);
        if (got <= 0) return nullptr;
        const std::size_t count = static_cast<std::size_t>(got) / sizeof words[0];
        for (std::size_t index = 0; index < count; ++index) {
            if (const Image* const found = find_image(words[index])) return found;
        }
        at += size;
    }
    return nullptr;
}

thread_local bool has_been_in_plugin = false;

// A thread of the host that has run plugin code before has traces of it on its stack, which say
// nothing of this crash.
const Image* find_crashed_image(const void* context) {
    if (context == nullptr) return nullptr;
    const CrashPlace place = place_of(context);
    if (const Image* const found = find_image(place.instruction)) return found;
    const bool is_hosts =
        current_thread_role != ThreadRole::kOther || has_been_in_plugin || ::gettid() == ::getpid();
    return is_hosts ? nullptr : find_image_on_stack(place.stack);
}

// `context`: of a signal, or nullptr. Nothing is left to do when a write fails.
void record_crash(const void* context) {
    if (const std::string* const line = line_of_this_thread) {
        line_of_this_thread = nullptr;
        if (::write(crash_fd.load(), line->data(), line->size()) < 0) return;
    } else if (const Image* const image = find_crashed_image(context)) {
        if (::write(crash_fd.load(), image->line.data(), image->line_bytes) < 0) return;
    }
}

void on_fatal_signal(int number, siginfo_t* /*info*/, void* context) {
    const int error = errno;
    record_crash(context);
    errno = error;
    // SA_RESETHAND: this time it ends the process, once the handler has returned.
    (void)::raise(number);
}

// Only main() ends the daemon. A plugin that calls exit(0) on another thread would tell the service
// manager that nothing is wrong and no restart is needed.
void on_exit() {
    record_crash(nullptr);
    if (::gettid() != ::getpid()) std::abort();
}

void install_handlers() {
    for (const int number : kFatalSignals) {
        struct sigaction action {};
        if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
        action = {};
        action.sa_sigaction = on_fatal_signal;
        action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_ONSTACK | SA_SIGINFO;
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
    if (has_been_in_plugin) return;
    has_been_in_plugin = true;
    auto stack = std::make_unique<SignalStack>();
    if (::pthread_setspecific(stack_key(), stack.get()) == 0) (void)stack.release();
}

struct CodeRange {
    std::uintptr_t begin = 0;
    std::uintptr_t end = 0;
};

// Where the executable segments of the image are; {}: it is not mapped.
CodeRange find_code(const std::string& path) {
    struct Search {
        const std::string& path;
        CodeRange found;
    } search{path, {}};
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
            auto& wanted = *static_cast<Search*>(data);
            if (wanted.path != info->dlpi_name) return 0;
            for (ElfW(Half) index = 0; index < info->dlpi_phnum; ++index) {
                const auto& segment = info->dlpi_phdr[index];
                if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
                const std::uintptr_t begin = info->dlpi_addr + segment.p_vaddr;
                CodeRange& found = wanted.found;
                found.begin = found.end == 0 ? begin : std::min(found.begin, begin);
                found.end = std::max(found.end, begin + segment.p_memsz);
            }
            return 1;
        },
        &search);
    return search.found;
}

}  // namespace

bool watch_image(const std::string& path, const CrashedFile& file) {
    const CodeRange code = find_code(path);
    const std::string line = encode_crash({file.plugin, file.sha256, false});
    const std::lock_guard lock(images_mutex);
    const auto unused =
        std::ranges::find_if(images, [](const Image& image) { return image.begin.load() == 0; });
    if (code.end == 0 || unused == images.end() || line.size() > unused->line.size()) return false;
    std::ranges::copy(line, unused->line.begin());
    unused->line_bytes = line.size();
    unused->end.store(code.end);
    unused->begin.store(code.begin, std::memory_order_release);
    images_by_path()[path] = &*unused;
    return true;
}

void forget_image(const std::string& path) {
    const std::lock_guard lock(images_mutex);
    const auto found = images_by_path().find(path);
    if (found == images_by_path().end()) return;
    found->second->begin.store(0);
    images_by_path().erase(found);
}

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
    return crashed.plugin + " " + crashed.sha256 + (crashed.in_handle ? "" : " outside") + "\n";
}

Result<std::vector<CrashedFile>> take_crashes(const std::string& path) {
    std::vector<CrashedFile> out;
    if (::access(path.c_str(), F_OK) != 0) return out;
    EW_TRY(const std::string text, read_file(path, limits::kPluginCrashesBytesMax));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        CrashedFile crashed;
        std::string where;
        words >> crashed.plugin >> crashed.sha256 >> where;
        crashed.in_handle = where.empty();
        if (!crashed.sha256.empty()) out.push_back(std::move(crashed));
    }
    if (::unlink(path.c_str()) != 0) return fail(errno_error("delete " + path, errno));
    return out;
}

}  // namespace export_worker::plugins
