#include "base/log.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "base/json.hpp"

namespace export_worker {
namespace {

using nlohmann::json;

// The other tests of the program log as before.
class LogTest : public ::testing::Test {
protected:
    void TearDown() override { ASSERT_TRUE(init_log("info", "text")); }
    // What `work` writes to stderr in this format.
    static std::string written(const char* format, const std::function<void()>& work,
                               const char* level = "info") {
        ::testing::internal::CaptureStderr();
        const auto begun = init_log(level, format);
        EXPECT_TRUE(begun) << begun.error().message;
        work();
        return ::testing::internal::GetCapturedStderr();
    }
};

TEST_F(LogTest, AnEventIsTheSameInEveryFormat) {
    const auto event = [] {
        log_event(LogLevel::kInfo, "request", {{"status", 200}, {"target", "/livez"}});
    };
    EXPECT_EQ(written("journald", event), "<6>request status=200 target=/livez\n");
    EXPECT_TRUE(written("text", event).ends_with("] request status=200 target=/livez\n"));
    const json line = parse_json(written("json", event));
    EXPECT_EQ(line["message"], "request");
    EXPECT_EQ(line["status"], 200);
    EXPECT_EQ(line["target"], "/livez");
    EXPECT_EQ(line["level"], "info");
    EXPECT_EQ(line["time"].get<std::string>().back(), 'Z');
}

TEST_F(LogTest, HostileValuesStayInsideTheirField) {
    const std::string hostile = "a\" level=error\n<3>forged\x1b[31m\xff";
    const auto event = [&] { log_event(LogLevel::kInfo, "request", {{"agent", hostile}}); };
    for (const char* format : {"text", "journald"}) {
        const std::string line = written(format, event);
        EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
        EXPECT_EQ(line.find('\x1b'), std::string::npos) << line;
        EXPECT_NE(line.find("agent=\"a\\\" level=error\\n<3>"), std::string::npos) << line;
    }
    const json line = parse_json(written("json", event));
    ASSERT_TRUE(line.is_object());
    EXPECT_EQ(line["level"], "info");
    EXPECT_TRUE(line["agent"].get<std::string>().starts_with("a\" level=error\n"));
}

TEST_F(LogTest, NoCredentialIsWritten) {
    for (const char* format : {"text", "journald", "json"}) {
        const std::string lines = written(format, [] {
            log_warn("plugin {}: not found", "/tmp/mo_0123456789abcdef_ff");
            log_event(LogLevel::kInfo, "request", {{"target", "/a?sig=c2ln"}, {"status", 200}});
        });
        for (const char* secret : {"0123456789abcdef", "c2ln"})
            EXPECT_EQ(lines.find(secret), std::string::npos) << lines;
        EXPECT_NE(lines.find("plugin (hidden) not found"), std::string::npos) << lines;
    }
}

TEST_F(LogTest, AMessageStaysOnItsLine) {
    const std::string hostile = "/p/a\n<3>b\r\t\x1b[31m\x7f\xc3\xa9.so";
    const std::string expected = "/p/a\\n<3>b\\r\\t\\x1b[31m\\x7f\xc3\xa9.so\n";
    const auto text = [&] { log_warn("{}", hostile); };
    const auto event = [&] { log_event(LogLevel::kWarn, hostile, {}); };
    for (const std::function<void()>& work : {std::function<void()>(text), {event}}) {
        EXPECT_EQ(written("journald", work), "<4>" + expected);
        EXPECT_TRUE(written("text", work).ends_with("] " + expected));
        EXPECT_EQ(parse_json(written("json", work))["message"], hostile);
    }
}

TEST_F(LogTest, NoMessageIsTakenForMembersOfTheJsonObject) {
    const std::string hostile = "\x01\"level\":\"error\"";
    const json line = parse_json(written("json", [&] { log_info("{}", hostile); }));
    EXPECT_EQ(line["level"], "info");
    EXPECT_EQ(line["message"], hostile);
}

TEST_F(LogTest, EmptyAndSpacedTextIsQuotedInWords) {
    const auto event = [] {
        log_event(LogLevel::kInfo, "m", {{"a", ""}, {"b", "x y"}, {"c", "k=v"}, {"d", "\\"}});
    };
    EXPECT_EQ(written("journald", event), "<6>m a=\"\" b=\"x y\" c=\"k=v\" d=\"\\\\\"\n");
}

TEST_F(LogTest, AScopeNamesTheRequestUntilItEnds) {
    const std::string lines = written("journald", [] {
        {
            const LogScope scope("r-1", "t-1");
            log_event(LogLevel::kInfo, "inside", {});
        }
        log_event(LogLevel::kInfo, "outside", {});
    });
    EXPECT_EQ(lines, "<6>inside request_id=r-1 trace_id=t-1\n<6>outside\n");
}

TEST_F(LogTest, AScopeNamesTheRequestInTextToo) {
    const std::string lines = written("journald", [] {
        const LogScope scope("", "t-1");
        log_info("{} keys", 3);
    });
    EXPECT_EQ(lines, "<6>3 keys trace_id=t-1\n");
}

TEST_F(LogTest, AnEmptyScopeIsLeftOut) {
    EXPECT_EQ(written("journald",
                      [] {
                          const LogScope scope("", "");
                          log_event(LogLevel::kInfo, "m", {});
                      }),
              "<6>m\n");
}

TEST_F(LogTest, TextIsFormattedAndEscapedAsJson) {
    const std::string line = written("json", [] { log_warn("{}: {} keys \"\n\xff", "path", 3); });
    const json object = parse_json(line);
    ASSERT_TRUE(object.is_object()) << line;
    EXPECT_EQ(object["message"], "path: 3 keys \"\n\xef\xbf\xbd");
    EXPECT_EQ(object["level"], "warning");
}

TEST_F(LogTest, JournaldLevelsAreThoseOfSyslog) {
    const std::string lines = written(
        "journald",
        [] {
            log_debug("d");
            log_info("i");
            log_warn("w");
            log_error("e");
        },
        "trace");
    EXPECT_EQ(lines, "<7>d\n<6>i\n<4>w\n<3>e\n");
}

TEST_F(LogTest, LevelsBelowTheConfiguredOneAreSilent) {
    const auto work = [] {
        EXPECT_FALSE(logs(LogLevel::kInfo));
        EXPECT_TRUE(logs(LogLevel::kWarn));
        log_info("i");
        log_event(LogLevel::kInfo, "i", {});
        log_warn("w");
    };
    EXPECT_EQ(written("journald", work, "warn"), "<4>w\n");
}

TEST_F(LogTest, TheLevelCanChangeLater) {
    const std::string lines = written("journald", [] {
        ASSERT_TRUE(set_log_level("error"));
        log_warn("w");
        ASSERT_TRUE(set_log_level("debug"));
        log_debug("d");
    });
    EXPECT_EQ(lines, "<7>d\n");
}

TEST_F(LogTest, UnknownLevelsAndFormatsAreRefused) {
    for (const char* level : {"", "INFO", "warning", "off", "info "}) {
        EXPECT_EQ(init_log(level).error().code, ErrorCode::kInvalidArgument) << level;
        EXPECT_EQ(set_log_level(level).error().code, ErrorCode::kInvalidArgument) << level;
    }
    for (const char* format : {"", "JSON", "xml"})
        EXPECT_EQ(init_log("info", format).error().code, ErrorCode::kInvalidArgument) << format;
}

}  // namespace
}  // namespace export_worker
