#include "protocol/message/trace.hpp"

#include <array>
#include <cstdint>

#include "base/crypto/random.hpp"
#include "base/hex.hpp"

namespace export_worker::message {
namespace {

constexpr std::size_t kTraceparentBytes = 55;

template <std::size_t Bytes>
void append_random_hex(std::string& out) {
    std::array<std::uint8_t, Bytes> random{};
    crypto::fill_id(random);
    random[0] |= 1U;  // Never all zeroes.
    append_hex(out, random);
}

}  // namespace

bool is_traceparent(std::string_view text) {
    if (text.size() != kTraceparentBytes || text.starts_with("ff")) return false;
    for (std::size_t index = 0; index < text.size(); ++index) {
        const bool dash = index == 2 || index == 35 || index == 52;
        const char c = text[index];
        const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (dash ? c != '-' : !hex) return false;
    }
    return text.substr(3, 32).find_first_not_of('0') != std::string_view::npos &&
           text.substr(36, 16).find_first_not_of('0') != std::string_view::npos;
}

std::string make_traceparent(std::string_view incoming) {
    const bool known = is_traceparent(incoming);
    std::string out;
    out.reserve(kTraceparentBytes);
    out += "00-";
    if (known)
        out += incoming.substr(3, 32);
    else
        append_random_hex<16>(out);
    out += '-';
    append_random_hex<8>(out);
    out += '-';
    // Whether it is recorded is the decision of whoever began the trace.
    out += known ? incoming.substr(53, 2) : std::string_view("00");
    return out;
}

std::string_view trace_id_of(std::string_view traceparent) {
    return is_traceparent(traceparent) ? traceparent.substr(3, 32) : std::string_view();
}

}  // namespace export_worker::message
