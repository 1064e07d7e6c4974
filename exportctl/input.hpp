// What a command reads: files, standard input, and paths for the daemon.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <istream>
#include <string>

#include <tl/expected.hpp>

#include "base/result.hpp"

namespace export_worker::exportctl {

// The file `path` to read from, or standard input for "-".
class Input {
public:
    // Prints what is wrong; the exit code is the error: kExitUsage when the file cannot be opened,
    // kExitRefused when it is a directory.
    [[nodiscard]] static tl::expected<Input, int> open(const std::string& path);

    // Of a regular file; 0: unknown.
    [[nodiscard]] std::int64_t bytes_total() const { return bytes_total_; }
    // The first `bytes_max` bytes of the next line without its end; line_bytes() has the size of
    // the whole line. False at the end, after an error, and at a line above kLineBytesSkippedMax.
    [[nodiscard]] bool read_line(std::string& line, std::size_t bytes_max);
    [[nodiscard]] std::size_t line_bytes() const { return line_bytes_; }
    // After reading. Errors: kDataLoss when it ended with an error; kInvalidArgument when a line
    // was too long.
    [[nodiscard]] Result<void> check() const;
    // All that is left. Errors: as check(); kInvalidArgument above `bytes_max` bytes.
    [[nodiscard]] Result<std::string> read_all(std::size_t bytes_max);

private:
    explicit Input(std::string path) : path_(std::move(path)) {}
    [[nodiscard]] std::istream& stream();
    [[nodiscard]] std::string name() const;

    std::string path_;
    std::ifstream file_;
    std::int64_t bytes_total_ = 0;
    std::size_t line_bytes_ = 0;
    bool failed_ = false;
};

// `path` as the daemon, which has another working directory, can use it. `what` is what it is
// called in messages. Prints what is wrong; the exit code is the error: kExitUsage when it is
// empty, kExitRefused when this working directory no longer exists.
[[nodiscard]] tl::expected<std::string, int> absolute_path(const std::string& path,
                                                           const std::string& what);

}  // namespace export_worker::exportctl
