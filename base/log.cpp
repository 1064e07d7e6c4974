#include "base/log.hpp"

#include <spdlog/formatter.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <iterator>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "base/redact.hpp"

namespace export_worker {

namespace {

Result<spdlog::level::level_enum> parse_level(std::string_view level) {
    constexpr std::array<std::string_view, 5> kLevels{"trace", "debug", "info", "warn", "error"};
    for (const std::string_view known : kLevels) {
        if (level == known) return spdlog::level::from_str(std::string(level));
    }
    return fail(ErrorCode::kInvalidArgument,
                "log level: expected trace, debug, info, warn or error, found '" +
                    std::string(level) + "'");
}

std::string quoted(std::string_view text) {
    return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

// Whether messages are members of a JSON object, which JsonFormatter takes as they are.
std::atomic<bool> g_json{false};

class JsonFormatter final : public spdlog::formatter {
public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        stamp_.format(message, out);
        out.append(message.payload.data(), message.payload.data() + message.payload.size());
        constexpr std::string_view kEnd = "}\n";
        out.append(kEnd.data(), kEnd.data() + kEnd.size());
    }
    std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<JsonFormatter>();
    }

private:
    spdlog::pattern_formatter stamp_{R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l","thread":%t,)",
                                     spdlog::pattern_time_type::utc, ""};
};

// The level in front as sd-daemon(3) has it; the journal knows the time and the process.
class JournaldFormatter final : public spdlog::formatter {
public:
    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        const int priority = message.level >= spdlog::level::err    ? 3
                             : message.level == spdlog::level::warn ? 4
                             : message.level == spdlog::level::info ? 6
                                                                    : 7;
        const std::string text = "<" + std::to_string(priority) + ">" +
                                 std::string(message.payload.data(), message.payload.size()) + "\n";
        out.append(text.data(), text.data() + text.size());
    }
    std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<JournaldFormatter>();
    }
};

// Not through stdio: a plugin that keeps the lock of stderr would stop every thread that logs.
class StderrSink final : public spdlog::sinks::base_sink<std::mutex> {
protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        std::string_view left(line.data(), line.size());
        while (!left.empty()) {
            const ssize_t put = ::write(STDERR_FILENO, left.data(), left.size());
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return;  // stderr is closed or broken; the line is lost.
            left.remove_prefix(static_cast<std::size_t>(put));
        }
    }
    void flush_() override {}
};

thread_local std::string_view t_request_id;
thread_local std::string_view t_trace_id;

spdlog::level::level_enum level_of(LogLevel level) {
    constexpr std::array kLevels{spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                 spdlog::level::err};
    return kLevels.at(static_cast<std::size_t>(level));
}

using Fields = std::vector<LogField>;

void add_scope(Fields& fields) {
    if (!t_request_id.empty()) fields.push_back({"request_id", t_request_id});
    if (!t_trace_id.empty()) fields.push_back({"trace_id", t_trace_id});
}

std::string members_of(std::string_view message, const Fields& fields) {
    std::string out = "\"message\":" + quoted(message);
    for (const LogField& field : fields) {
        out += "," + quoted(field.name) + ":";
        const auto* text = std::get_if<std::string_view>(&field.value);
        out +=
            text != nullptr ? quoted(*text) : std::to_string(std::get<std::int64_t>(field.value));
    }
    return out;
}

// One line, whatever the message quotes: a line break in a file name or a plugin's text ends no
// line.
std::string escaped(std::string_view message) {
    std::string out;
    out.reserve(message.size());
    for (const char c : message) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\n') {
            out += "\\n";
        } else if (c == '\r') {
            out += "\\r";
        } else if (c == '\t') {
            out += "\\t";
        } else if (byte < 0x20 || byte == 0x7f) {
            fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
        } else {
            out += c;
        }
    }
    return out;
}

std::string words_of(std::string_view message, const Fields& fields) {
    std::string out = escaped(message);
    for (const LogField& field : fields) {
        out += " ";
        out += field.name;
        out += "=";
        const auto* text = std::get_if<std::string_view>(&field.value);
        if (text == nullptr) {
            out += std::to_string(std::get<std::int64_t>(field.value));
        } else if (!text->empty() && text->find_first_of(" \"=\\") == std::string_view::npos &&
                   std::ranges::all_of(*text, [](char c) { return c > 0x20 && c < 0x7f; })) {
            out += *text;
        } else {
            out += quoted(*text);
        }
    }
    return out;
}

void write(LogLevel level, std::string_view written, Fields fields) {
    const bool json = g_json.load(std::memory_order_relaxed);
    const std::string message = hide_credentials(written);
    std::vector<std::string> shown;
    shown.reserve(fields.size());
    for (LogField& field : fields) {
        if (const auto* text = std::get_if<std::string_view>(&field.value))
            field.value = shown.emplace_back(hide_credentials(*text));
    }
    spdlog::default_logger_raw()->log(
        level_of(level), json ? members_of(message, fields) : words_of(message, fields));
}

}  // namespace

Result<void> init_log(std::string_view level, std::string_view format) {
    EW_TRY(const auto parsed, parse_level(level));
    auto logger = std::make_shared<spdlog::logger>("", std::make_shared<StderrSink>());
    if (format == "json") {
        logger->set_formatter(std::make_unique<JsonFormatter>());
    } else if (format == "journald") {
        logger->set_formatter(std::make_unique<JournaldFormatter>());
    } else if (format == "text") {
        logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l [%t] %v", spdlog::pattern_time_type::utc);
    } else {
        return fail(
            ErrorCode::kInvalidArgument,
            "log format: expected text, json or journald, found '" + std::string(format) + "'");
    }
    g_json.store(format == "json");
    logger->set_level(parsed);
    spdlog::set_default_logger(std::move(logger));
    return {};
}

bool logs(LogLevel level) {
    return spdlog::default_logger_raw()->should_log(level_of(level));
}

void log_text(LogLevel level, fmt::string_view format, fmt::format_args values) {
    if (!logs(level)) return;
    Fields fields;
    add_scope(fields);
    write(level, fmt::vformat(format, values), std::move(fields));
}

void log_event(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
    if (!logs(level)) return;
    Fields all(fields);
    add_scope(all);
    write(level, message, std::move(all));
}

LogScope::LogScope(std::string_view request_id, std::string_view trace_id) {
    t_request_id = request_id;
    t_trace_id = trace_id;
}

LogScope::~LogScope() {
    t_request_id = {};
    t_trace_id = {};
}

Result<void> set_log_level(std::string_view level) {
    EW_TRY(const auto parsed, parse_level(level));
    spdlog::default_logger()->set_level(parsed);
    return {};
}

}  // namespace export_worker
