// What a command reads: files, standard input, and paths for the daemon.
#pragma once

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

    // False at the end, and after an error.
    [[nodiscard]] bool read_line(std::string& line);
    // All that is left.
    [[nodiscard]] std::string read_all();
    // After reading. Errors: kDataLoss when it ended with an error.
    [[nodiscard]] Result<void> check() const;

private:
    explicit Input(std::string path) : path_(std::move(path)) {}
    [[nodiscard]] std::istream& stream();

    std::string path_;
    std::ifstream file_;
    bool failed_ = false;
};

// `path` as the daemon, which has another working directory, can use it. `what` is what it is
// called in messages. Prints what is wrong; the exit code is the error: kExitUsage when it is
// empty, kExitRefused when this working directory no longer exists.
[[nodiscard]] tl::expected<std::string, int> absolute_path(const std::string& path,
                                                           const std::string& what);

}  // namespace export_worker::exportctl
