#include "daemon/files/file_url.hpp"

namespace export_worker::files {

std::string to_file_url(std::string_view absolute_path) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    std::string out = "file://";
    for (const char c : absolute_path) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') ||
                           std::string_view("-._~/").find(c) != std::string_view::npos;
        if (plain) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += kDigits[byte >> 4];
            out += kDigits[byte & 15];
        }
    }
    return out;
}

}  // namespace export_worker::files
