// Which plugin file a thread was in when it took the process down.
//
// Handlers of the signals that end a process, and of exit(), append one line to a file; the next
// start reads it. It names the file whose handle() the thread was in; else the one whose image has
// the instruction that crashed; else, on a thread that the host has not started, the one whose
// image has the innermost return address on its stack. SIGKILL and _exit() leave no line. exit() on
// another thread than the main one ends as abort() does, whatever its status.
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
    bool in_handle = true;  // false: outside it, mostly on a thread of the plugin's own.
};

// From now on crashes in the code of the image that is mapped from `path` count as those of `file`.
// False: it is not mapped, or kPluginImagesMax are known already. [any-thread]
bool watch_image(const std::string& path, const CrashedFile& file);
// Before its addresses may be another's; one that is not known is no error. [any-thread]
void forget_image(const std::string& path);

// The line for InPlugin.
[[nodiscard]] std::string encode_crash(const CrashedFile& crashed);
// What the file holds, which is then deleted. A line that is none is skipped. Errors: those of the
// file system; no file is no error.
[[nodiscard]] Result<std::vector<CrashedFile>> take_crashes(const std::string& path);

}  // namespace export_worker::plugins
