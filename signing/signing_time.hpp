// The two spellings of time in AWS signatures.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace export_worker::signing {

// "20130524T000000Z" and its first eight characters.
class SigningTime {
public:
    // `unix_s` from 0 to the year 9999.
    explicit SigningTime(std::int64_t unix_s);
    [[nodiscard]] std::string_view timestamp() const { return {text_.data(), 16}; }
    [[nodiscard]] std::string_view day() const { return {text_.data(), 8}; }

private:
    std::array<char, 16> text_{};
};

}  // namespace export_worker::signing
