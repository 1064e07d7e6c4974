// The process log: one line per event on stderr, where systemd and containers look.
//
//   text      2026-11-25T12:00:00.123Z info [4711] request status=200 target=/livez
//   json {"time":"2026-11-25T12:00:00.123Z","level":"info","message":"request","status":200,...}
//   journald  <6>request status=200 target=/livez
//
// A message stays on its line: control characters are escaped, as \n, \r, \t or \x1b in text and
// journald, as JSON has it in json.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.hpp"

namespace export_worker {

// `level`: trace, debug, info, warn, error. `format`: text, json, journald. Errors:
// kInvalidArgument. Call once, before any thread.
[[nodiscard]] Result<void> init_log(std::string_view level, std::string_view format = "text");

// Another level from now on. Errors: as init_log(). [any-thread]
[[nodiscard]] Result<void> set_log_level(std::string_view level);

struct LogField {
    std::string_view name;
    std::variant<std::string_view, std::int64_t> value;
};
enum class LogLevel { kDebug, kInfo, kWarn, kError };

// One line of text in fmt's format, checked at compile time: log_info("{}: {} keys", path, count).
// Costs one comparison where the level is off. [any-thread]
template <typename... Values>
void log_debug(fmt::format_string<Values...> format, Values&&... values);
template <typename... Values>
void log_info(fmt::format_string<Values...> format, Values&&... values);
template <typename... Values>
void log_warn(fmt::format_string<Values...> format, Values&&... values);
template <typename... Values>
void log_error(fmt::format_string<Values...> format, Values&&... values);
// The same for a level known at run time, with the values of fmt::make_format_args().
void log_text(LogLevel level, fmt::string_view format, fmt::format_args values);

// An event with named values, for people and for programs. Inside a LogScope it names the request.
// Text values may come from outside: they are escaped. [any-thread]
void log_event(LogLevel level, std::string_view message, std::initializer_list<LogField> fields);
// Whether that would write anything: for fields that cost something to make.
[[nodiscard]] bool logs(LogLevel level);

// What this thread works on, while the scope lives; borrows both. An empty one is left out.
class LogScope {
public:
    LogScope(std::string_view request_id, std::string_view trace_id);
    LogScope(const LogScope&) = delete;
    LogScope& operator=(const LogScope&) = delete;
    ~LogScope();
};

// --- inline ---
template <typename... Values>
void log_debug(fmt::format_string<Values...> format, Values&&... values) {
    log_text(LogLevel::kDebug, format, fmt::make_format_args(values...));
}
template <typename... Values>
void log_info(fmt::format_string<Values...> format, Values&&... values) {
    log_text(LogLevel::kInfo, format, fmt::make_format_args(values...));
}
template <typename... Values>
void log_warn(fmt::format_string<Values...> format, Values&&... values) {
    log_text(LogLevel::kWarn, format, fmt::make_format_args(values...));
}
template <typename... Values>
void log_error(fmt::format_string<Values...> format, Values&&... values) {
    log_text(LogLevel::kError, format, fmt::make_format_args(values...));
}

}  // namespace export_worker
