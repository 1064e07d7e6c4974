// The spellings of time in signatures.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace export_worker::signing {

// "20130524T000000Z", its first eight characters, and "2013-05-24T00:00:00Z".
class SigningTime {
public:
    // `unix_s` from 0 to the year 9999.
    explicit SigningTime(std::int64_t unix_s);
    [[nodiscard]] std::string_view timestamp() const { return {text_.data(), 16}; }
    [[nodiscard]] std::string_view day() const { return {text_.data(), 8}; }
    [[nodiscard]] std::array<char, 20> iso8601() const;

private:
    std::array<char, 16> text_{};
};

}  // namespace export_worker::signing
