#include "exportctl/input.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "exportctl/limits.hpp"
#include "exportctl/output.hpp"

namespace export_worker::exportctl {

tl::expected<Input, int> Input::open(const std::string& path) {
    struct stat info {};
    const bool known =
        path == "-" ? ::fstat(STDIN_FILENO, &info) == 0 : ::stat(path.c_str(), &info) == 0;
    if (known && S_ISDIR(info.st_mode))
        return tl::unexpected(complain(
            kExitRefused, "read " + Input(path).name() + ": expected a file, found a directory"));
    Input input(path);
    if (known && S_ISREG(info.st_mode)) input.bytes_total_ = info.st_size;
    if (path != "-") {
        input.file_.open(path, std::ios::binary);
        if (!input.file_) {
            const std::string what = "open " + path + ": " + std::strerror(errno);
            return tl::unexpected(complain(kExitUsage, what));
        }
    }
    return input;
}

std::istream& Input::stream() {
    return path_ == "-" ? std::cin : file_;
}

std::string Input::name() const {
    return path_ == "-" ? "standard input" : path_;
}

bool Input::read_line(std::string& line, std::size_t bytes_max) {
    std::array<char, 16 * 1024> chunk{};
    std::istream& in = stream();
    line.clear();
    line_bytes_ = 0;
    while (line_bytes_ <= limits::kLineBytesSkippedMax) {
        in.getline(chunk.data(), chunk.size());
        const bool ended = in.good();  // gcount() counts the line's end, too.
        const std::size_t got = static_cast<std::size_t>(in.gcount()) - (ended ? 1 : 0);
        line.append(chunk.data(), std::min(got, bytes_max - line.size()));
        line_bytes_ += got;
        if (ended) return true;
        if (in.bad()) failed_ = true;
        if (in.bad() || in.eof()) return !in.bad() && line_bytes_ > 0;
        in.clear();  // The chunk is full, the line goes on.
    }
    return false;
}

Result<void> Input::check() const {
    if (line_bytes_ > limits::kLineBytesSkippedMax)
        return fail(ErrorCode::kInvalidArgument,
                    "read " + name() + ": expected lines of text, found one of more than " +
                        std::to_string(limits::kLineBytesSkippedMax) + " bytes");
    // std::cin reads through stdin, which alone knows.
    if (!failed_ && (path_ != "-" || std::ferror(stdin) == 0)) return {};
    return fail(ErrorCode::kDataLoss,
                "read " + name() + ": ended with an error; what was read may be incomplete");
}

Result<std::string> Input::read_all(std::size_t bytes_max) {
    std::string all(bytes_max + 1, '\0');
    stream().read(all.data(), static_cast<std::streamsize>(all.size()));
    all.resize(static_cast<std::size_t>(stream().gcount()));
    failed_ = stream().bad();
    EW_CHECK(check());
    if (all.size() > bytes_max)
        return fail(ErrorCode::kInvalidArgument, "read " + name() + ": expected at most " +
                                                     std::to_string(bytes_max) +
                                                     " bytes, found more");
    return all;
}

tl::expected<std::string, int> absolute_path(const std::string& path, const std::string& what) {
    if (path.empty())
        return tl::unexpected(complain(kExitUsage, what + ": expected a path, found none"));
    std::error_code error;
    const auto absolute = std::filesystem::absolute(path, error);
    if (error)
        return tl::unexpected(complain(
            kExitRefused,
            what + ": " + path +
                " is relative to a working directory that cannot be used: " + error.message()));
    return absolute.lexically_normal().string();
}

}  // namespace export_worker::exportctl
