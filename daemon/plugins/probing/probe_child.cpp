#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/clock.hpp"
#include "base/io.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/plugins/probing/golden.hpp"
#include "daemon/plugins/probing/limits.hpp"
#include "daemon/plugins/probing/probe_codec.hpp"
#include "daemon/plugins/probing/probe_keeper.hpp"
#include "daemon/plugins/probing/surroundings.hpp"

#if defined(EXPORT_WORKER_COVERAGE)
extern "C" void __gcov_dump();  // libgcov: writes the counters that _exit() would lose.
#endif

namespace export_worker::plugins {
namespace {

constexpr const char* kStage = "probe";

tl::unexpected<Refusal> failed(std::string expected, std::string found, std::string hint) {
    return refuse({"probe_failed", kStage, std::move(expected), std::move(found), std::move(hint)});
}

// On a line of its own, whatever the candidate has written there.
void say(const std::string& line) {
    (void)write_all(kProbeReportFd, "\n" + line, "the probe's report");
}
void step(std::string_view name) {
    say(encode_probe_step(name));
}

// 0: closed.
ino_t report_inode() {
    struct stat info {};
    return ::fstat(kProbeReportFd, &info) == 0 ? info.st_ino : 0;
}

// A second thread, as the daemon has workers: what a candidate leaves in a thread's local storage
// shows only while that thread lives.
class Worker {
public:
    Worker() : thread_([this] { run(); }) {}
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;
    ~Worker() { end(); }
    // Runs what the candidate has left for the end of the thread. May be called again.
    void end() {
        if (!thread_.joinable()) return;
        {
            const std::lock_guard lock(mutex_);
            ending_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }
    Verdict<void> run_here(std::function<Verdict<void>()> work) {
        std::unique_lock lock(mutex_);
        work_ = std::move(work);
        changed_.notify_all();
        changed_.wait(lock, [this] { return !work_; });
        return outcome_;
    }

private:
    void run() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return ending_ || work_; });
            if (ending_) return;
            outcome_ = work_();
            work_ = nullptr;
            changed_.notify_all();
        }
    }
    std::mutex mutex_;
    std::condition_variable changed_;
    std::function<Verdict<void>()> work_;
    Verdict<void> outcome_;
    bool ending_ = false;
    std::thread thread_;  // Last: it uses everything above.
};

void set_limits(const ProbeRequest& request) {
    const auto limit = [](auto resource, std::uint64_t value) {
        const rlimit bound{value, value};
        (void)::setrlimit(resource, &bound);
    };
#if !defined(EXPORT_WORKER_SANITIZED)
    limit(RLIMIT_AS, limits::kProbeAddressSpaceBytes);
#endif
    limit(RLIMIT_NOFILE, limits::kProbeFilesMax);
    limit(RLIMIT_CORE, 0);
#if !defined(EXPORT_WORKER_COVERAGE)  // Counters are written when an image is unmapped.
    limit(RLIMIT_FSIZE, 0);
#endif
    limit(RLIMIT_CPU, static_cast<std::uint64_t>(request.timeout.count()) / 1000 + 1);
    (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
}

std::int64_t heap_bytes() {
    const auto info = ::mallinfo2();
    return static_cast<std::int64_t>(info.uordblks + info.hblkhd);
}

// The same requests again and again: memory that still grows then grows with every request.
Verdict<std::int64_t> measure_growth(Generation& generation,
                                     const std::vector<GoldenRequest>& requests, SteadyTime end) {
    constexpr int kWarmUp = 64;
    constexpr int kRoundsMin = 32;  // Fewer prove nothing: the plugin is too slow to be measured.
    constexpr std::int64_t kNoise = 16;  // Bytes per request: caches still filling.
    std::int64_t before = 0;
    PluginCall call;
    int measured = 0;
    for (int round = 0; round < kWarmUp + limits::kProbeRepeats; ++round) {
        if (system_clock().steady() > end) break;
        if (round == kWarmUp) before = heap_bytes();
        if (round >= kWarmUp) ++measured;
        for (const GoldenRequest& request : requests) {
            if (request.repeatable) EW_CHECK(run_golden(generation, request, call));
        }
    }
    if (measured < kRoundsMin) return 0;
    const std::int64_t kept = (heap_bytes() - before) / measured;
    if (kept > kNoise) {
        return failed("memory that does not grow with requests",
                      std::to_string(kept) + " bytes more after every round of the same " +
                          std::to_string(requests.size()) + " requests",
                      "free what handle() allocates; run the plugin's tests under "
                      "-fsanitize=leak");
    }
    return kept;
}

Verdict<ProbeReport> examine(const ProbeRequest& request) {
    const SteadyTime started = system_clock().steady();
    ProbeReport report;
    Worker worker;
    const Surroundings surroundings;
    const pid_t self = ::getpid();

    step("being loaded");
    Generation::Setup setup;
    setup.path = request.file;
    setup.sha256 = request.sha256;
    setup.manifest = request.manifest;
    setup.number = 1;
    setup.config = request.config;
    setup.deps.clock = &system_clock();
    setup.deps.credentials = request.credentials;
    setup.reason = EW_CREATE_PROBE;
    EW_TRY(const std::unique_ptr<Generation> generation, Generation::map(std::move(setup)));
    if (::getpid() != self)
        ::_exit(0);  // A copy that a constructor forked off; the original reports.
    EW_CHECK(surroundings.check_unchanged("while being loaded"));
    EW_CHECK(surroundings.check_nothing_left("once it is loaded"));
    if (request.create) {
        step("in create()");
        EW_CHECK(generation->create());
        EW_CHECK(surroundings.check_unchanged("in create()"));
        step("in describe()");
        EW_CHECK(generation->describe());
        EW_CHECK(surroundings.check_unchanged("in describe()"));
        report.methods = generation->methods();
        step("in self_test()");
        EW_CHECK(generation->self_test());
        EW_CHECK(surroundings.check_unchanged("in self_test()"));
        step("answering golden requests");
        EW_TRY(const std::vector<GoldenRequest> golden,
               golden_requests(*generation, request.golden));
        report.golden_requests = golden.size();
        EW_CHECK(worker.run_here([&]() -> Verdict<void> {
            const Settings of_worker = read_thread_settings();
            PluginCall call;
            for (const GoldenRequest& each : golden) EW_CHECK(run_golden(*generation, each, call));
            EW_TRY(report.bytes_kept_per_request,
                   measure_growth(*generation, golden, started + request.timeout / 4));
            return check_same(of_worker, read_thread_settings(), "in handle()");
        }));
        EW_CHECK(surroundings.check_unchanged("in handle()"));
        step("in quiesce() or destroy()");
        generation->end_instance();
        EW_CHECK(surroundings.check_unchanged("in quiesce() or destroy()"));
        EW_CHECK(surroundings.check_nothing_left("after destroy()"));
    }
    step("being unmapped");
    if (!generation->unmap())
        report.pinned_by.emplace_back("it was still mapped after dlclose() in the probe");
    EW_CHECK(surroundings.check_unchanged("while being unmapped"));
    step("at the end of a thread that handle() ran on");
    worker.end();
    rusage usage{};
    (void)::getrusage(RUSAGE_SELF, &usage);
    report.peak_memory_kib = usage.ru_maxrss;
    return report;
}

int run_probe() {
    std::string text;
    std::array<char, 8192> chunk{};
    while (::isatty(STDIN_FILENO) == 0) {
        const ssize_t got = ::read(STDIN_FILENO, chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        text.append(chunk.data(), static_cast<std::size_t>(got));
    }
    const auto request = decode_probe_request(text);
    if (!request || !init_log("info")) {
        std::fprintf(stderr,
                     "--probe-plugin is how the daemon tries a plugin; it expects a "
                     "request on stdin. Use --check-plugin FILE\n");
        return 64;
    }
    set_limits(*request);
    const ino_t report = report_inode();
    const auto verdict = examine(*request);
    if (report_inode() != report) ::_exit(kProbeReportLost);
    say(encode_probe_end(verdict));
    // Without destructors: the candidate has been taken down, and whatever it left must not run.
    std::fflush(nullptr);
#if defined(EXPORT_WORKER_COVERAGE)
    __gcov_dump();
#endif
    ::_exit(0);
}

}  // namespace

int run_probe_child() {
    keep_probe(run_probe);
}

}  // namespace export_worker::plugins
