#include "exportctl/terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace export_worker::exportctl {
namespace {

std::string_view environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string_view() : value;
}

bool begins_character(char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
}

}  // namespace

std::size_t columns_of(int fd) {
    if (::isatty(fd) != 1) return 0;
    winsize size{};
    const bool known = ::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : 80;
}

bool takes_escapes(int fd) {
    const std::string_view terminal = environment("TERM");
    return ::isatty(fd) == 1 && !terminal.empty() && terminal != "dumb";
}

bool takes_colors(int fd) {
    return takes_escapes(fd) && environment("NO_COLOR").empty();
}

std::size_t width_of(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, begins_character));
}

std::string cut_to(std::string_view text, std::size_t columns) {
    std::size_t count = 0;
    const auto end = std::ranges::find_if(
        text, [&](char byte) { return begins_character(byte) && ++count > columns; });
    return {text.begin(), end};
}

}  // namespace export_worker::exportctl
