#include "base/clock.hpp"

#include <ctime>

#include "base/text.hpp"

namespace export_worker {
namespace {

class SystemClock final : public Clock {
public:
    std::int64_t unix_us() const override {
        return std::chrono::duration_cast<std::chrono::microseconds>(
                   std::chrono::system_clock::now().time_since_epoch())
            .count();
    }
    SteadyTime steady() const override { return std::chrono::steady_clock::now(); }
};

constexpr std::int64_t kUsPerSecond = 1'000'000;

}  // namespace

const Clock& system_clock() {
    static const SystemClock clock;
    return clock;
}

std::string to_iso8601(std::int64_t unix_us) {
    const std::int64_t fraction = ((unix_us % kUsPerSecond) + kUsPerSecond) % kUsPerSecond;
    const std::time_t seconds = static_cast<std::time_t>((unix_us - fraction) / kUsPerSecond);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    char text[48];
    std::size_t used = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    std::string out(text, used);
    if (fraction != 0) {
        const std::string digits = std::to_string(fraction);
        out += '.';
        out.append(6 - digits.size(), '0');
        out += digits;
    }
    out += 'Z';
    return out;
}

Result<std::int64_t> parse_iso8601_seconds(std::string_view text) {
    std::tm parts{};
    const std::string copy(text);
    const char* end =
        copy.size() == 20 ? strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%SZ", &parts) : nullptr;
    const std::tm given = parts;
    const std::time_t seconds = timegm(&parts);  // Makes March of the 30th of February.
    if (end == nullptr || *end != '\0' || parts.tm_mday != given.tm_mday ||
        parts.tm_sec != given.tm_sec || seconds < 0) {
        return fail(
            ErrorCode::kInvalidArgument,
            "time: expected a date of the calendar from 1970 on as YYYY-MM-DDThh:mm:ssZ, found '" +
                printable(text, 40) + "'");
    }
    return static_cast<std::int64_t>(seconds);
}

}  // namespace export_worker
