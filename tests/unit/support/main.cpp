// main() of unit_tests. It keeps what the code under test logs, and prints it for a test that
// fails.
//
// EXPORT_WORKER_TEST_LOG=1 prints every line at once, too, for a test that crashes or hangs.
// A skipped test gets a last line "SKIPPED: test: reason"; the exit status is then 77, or 1 if
// EXPORT_WORKER_STRICT is 1. Tests left out by --without (support/skips.hpp) do not count.
#include <gtest/gtest.h>
#include <spdlog/sinks/ringbuffer_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "tests/unit/support/log.hpp"
#include "tests/unit/support/skips.hpp"

namespace export_worker::testing {
namespace {

constexpr std::size_t kLogLinesMax = 10'000;  // Of one test; the newest are kept.
constexpr int kExitSkipped = 77;              // ctest's SKIP_RETURN_CODE.

bool is_set(const char* variable) {
    const char* value = std::getenv(variable);
    return value != nullptr && std::string_view(value) == "1";
}

class TestLog final : public ::testing::EmptyTestEventListener {
public:
    // A new sink for each test, and the default logger again where a test has put another one.
    void OnTestStart(const ::testing::TestInfo&) override {
        sink_ = std::make_shared<spdlog::sinks::ringbuffer_sink_mt>(kLogLinesMax);
        auto logger = std::make_shared<spdlog::logger>("", sink_);
        if (is_set("EXPORT_WORKER_TEST_LOG"))
            logger->sinks().push_back(std::make_shared<spdlog::sinks::stdout_sink_mt>());
        spdlog::set_default_logger(std::move(logger));
    }

    void OnTestEnd(const ::testing::TestInfo& test) override {
        if (!test.result()->Failed() || is_set("EXPORT_WORKER_TEST_LOG")) return;
        const auto lines = sink_->last_formatted();
        if (lines.empty()) return;
        std::printf("--- log of %s.%s\n", test.test_suite_name(), test.name());
        for (const std::string& line : lines) std::fputs(line.c_str(), stdout);
        std::printf("--- end of the log\n");
    }

    [[nodiscard]] bool holds(std::string_view text) const {
        return std::ranges::any_of(sink_->last_formatted(), [&](const std::string& line) {
            return line.find(text) != std::string::npos;
        });
    }

private:
    std::shared_ptr<spdlog::sinks::ringbuffer_sink_mt> sink_;
};

TestLog* test_log = nullptr;  // gtest owns it.

class SkipList final : public ::testing::EmptyTestEventListener {
public:
    void OnTestEnd(const ::testing::TestInfo& test) override {
        if (!test.result()->Skipped()) return;
        std::string reason;
        for (int part = 0; part < test.result()->total_part_count(); ++part) {
            const ::testing::TestPartResult& result = test.result()->GetTestPartResult(part);
            if (result.skipped()) reason = result.message();
        }
        const std::string name = std::string(test.test_suite_name()) + "." + test.name();
        const bool left_out = reason.starts_with(kLeftOut);
        if (left_out) reason.erase(0, kLeftOut.size());
        lines_ += (left_out ? "LEFT OUT: " : "SKIPPED: ") + name + ": " + reason + "\n";
        skipped_ += left_out ? 0 : 1;
    }

    [[nodiscard]] const std::string& lines() const { return lines_; }
    [[nodiscard]] int skipped() const { return skipped_; }

private:
    std::string lines_;
    int skipped_ = 0;
};

int run(int argc, char** argv) {
    ::testing::InitGoogleTest(&argc, argv);
    auto& listeners = ::testing::UnitTest::GetInstance()->listeners();
    test_log = new TestLog;
    listeners.Append(test_log);
    auto* skips = new SkipList;
    listeners.Append(skips);
    const int status = RUN_ALL_TESTS();
    std::fputs(skips->lines().c_str(), stdout);
    if (status != 0 || skips->skipped() == 0) return status;
    return is_set("EXPORT_WORKER_STRICT") ? 1 : kExitSkipped;
}

}  // namespace

bool has_logged(std::string_view text) {
    return test_log->holds(text);
}

}  // namespace export_worker::testing

int main(int argc, char** argv) {
    ::umask(022);  // As in an installation, whatever the caller's is.
    return export_worker::testing::run(argc, argv);
}
