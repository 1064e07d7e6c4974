#include "signing/signing_time.hpp"

#include <chrono>

namespace export_worker::signing {
namespace {

void put(char* to, unsigned value, std::size_t digits) {
    for (std::size_t index = digits; index > 0; --index) {
        to[index - 1] = static_cast<char>('0' + value % 10);
        value /= 10;
    }
}

}  // namespace

// Calendar arithmetic instead of gmtime and strftime: this runs once per minted link.
SigningTime::SigningTime(std::int64_t unix_s) {
    using std::chrono::days;
    const std::chrono::sys_seconds at{std::chrono::seconds(unix_s)};
    const auto midnight = std::chrono::floor<days>(at);
    const std::chrono::year_month_day date(midnight);
    const auto second_of_day = static_cast<unsigned>((at - midnight).count());
    put(&text_[0], static_cast<unsigned>(static_cast<int>(date.year())), 4);
    put(&text_[4], static_cast<unsigned>(date.month()), 2);
    put(&text_[6], static_cast<unsigned>(date.day()), 2);
    text_[8] = 'T';
    put(&text_[9], second_of_day / 3600, 2);
    put(&text_[11], second_of_day / 60 % 60, 2);
    put(&text_[13], second_of_day % 60, 2);
    text_[15] = 'Z';
}

}  // namespace export_worker::signing
