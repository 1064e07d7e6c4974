#include "base/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <array>
#include <string>

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

}  // namespace

Result<void> init_log(std::string_view level) {
    EW_TRY(const auto parsed, parse_level(level));
    auto logger =
        std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l [%t] %v", spdlog::pattern_time_type::utc);
    logger->set_level(parsed);
    spdlog::set_default_logger(std::move(logger));
    return {};
}

Result<void> set_log_level(std::string_view level) {
    EW_TRY(const auto parsed, parse_level(level));
    spdlog::default_logger()->set_level(parsed);
    return {};
}

std::string redact_url(std::string_view url) {
    std::string out(url);
    for (const std::string_view name : {"X-Amz-Signature=", "X-Amz-Security-Token=", "sig="}) {
        std::size_t at = 0;
        while ((at = out.find(name, at)) != std::string::npos) {
            const bool starts_parameter = at > 0 && (out[at - 1] == '?' || out[at - 1] == '&');
            at += name.size();
            if (!starts_parameter) continue;
            const std::size_t end = std::min(out.find('&', at), out.size());
            out.replace(at, end - at, "REDACTED");
        }
    }
    return out;
}

}  // namespace export_worker
