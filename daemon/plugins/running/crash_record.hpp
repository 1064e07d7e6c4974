// Which plugin file a thread was in when it took the process down.
//
// Handlers of the signals that end a process, and of exit(), append one line to a file; the next
// start reads it. SIGKILL leaves no line: it comes from outside. exit() on another thread than the
// main one ends as abort() does, whatever its status.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker::plugins {

// The handlers stay for the life of the process; they replace no handler of others. One recorder
// at a time; a second one takes over.
class CrashRecorder {
public:
    // Creates or extends the file. Errors: those of the file system.
    [[nodiscard]] static Result<std::unique_ptr<CrashRecorder>> open(const std::string& path);
    ~CrashRecorder();
    CrashRecorder(const CrashRecorder&) = delete;
    CrashRecorder& operator=(const CrashRecorder&) = delete;

private:
    explicit CrashRecorder(UniqueFd file);
    const UniqueFd file_;
};

// This thread is in a plugin while the object lives. `line` must outlive it. [any-thread]
class InPlugin {
public:
    explicit InPlugin(const std::string& line) noexcept;
    ~InPlugin();
    InPlugin(const InPlugin&) = delete;
    InPlugin& operator=(const InPlugin&) = delete;
};

struct CrashedFile {
    std::string plugin;
    std::string sha256;
};

// The line for InPlugin.
[[nodiscard]] std::string encode_crash(const CrashedFile& crashed);
// What the file holds, which is then deleted. A line that is none is skipped. Errors: those of the
// file system; no file is no error.
[[nodiscard]] Result<std::vector<CrashedFile>> take_crashes(const std::string& path);

}  // namespace export_worker::plugins
