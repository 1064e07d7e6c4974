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

std::array<char, 20> SigningTime::iso8601() const {
    const auto& t = text_;
    return {t[0], t[1], t[2],  t[3], '-',   t[4],  t[5], '-',   t[6],  t[7],
            'T',  t[9], t[10], ':',  t[11], t[12], ':',  t[13], t[14], 'Z'};
}

}  // namespace export_worker::signing
