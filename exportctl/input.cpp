#include "exportctl/input.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <sstream>

#include "exportctl/command.hpp"

namespace export_worker::exportctl {

tl::expected<Input, int> Input::open(const std::string& path) {
    struct stat info {};
    const bool known =
        path == "-" ? ::fstat(STDIN_FILENO, &info) == 0 : ::stat(path.c_str(), &info) == 0;
    if (known && S_ISDIR(info.st_mode))
        return tl::unexpected(
            complain(kExitRefused, "read " + (path == "-" ? std::string("standard input") : path) +
                                       ": expected a file, found a directory"));
    Input input(path);
    if (path != "-") {
        input.file_.open(path, std::ios::binary);
        if (!input.file_)
            return tl::unexpected(
                complain(kExitUsage, "open " + path + ": " + std::strerror(errno)));
    }
    return input;
}

std::istream& Input::stream() {
    return path_ == "-" ? std::cin : file_;
}

bool Input::read_line(std::string& line) {
    const bool read = static_cast<bool>(std::getline(stream(), line));
    failed_ = failed_ || stream().bad();
    return read;
}

std::string Input::read_all() {
    std::string all;
    for (std::string line; read_line(line);) all += line + '\n';
    return all;
}

Result<void> Input::check() const {
    // std::cin reads through stdin, which alone knows.
    if (!failed_ && (path_ != "-" || std::ferror(stdin) == 0)) return {};
    return fail(ErrorCode::kDataLoss, "read " +
                                          (path_ == "-" ? std::string("standard input") : path_) +
                                          ": ended with an error; what was read may be incomplete");
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
