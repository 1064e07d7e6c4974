#include "daemon/plugins/lifecycle/watch.hpp"

#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/log.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"

namespace export_worker::plugins {

void Watch::set_files(const std::vector<std::string>& files) {
    fd_ = UniqueFd();
    directories_.clear();
    files_.clear();
    touched_.clear();
    if (files.empty()) return;
    fd_ = UniqueFd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    if (!fd_) {
        log_error("plugins: the files cannot be watched: {}", std::strerror(errno));
        return;
    }
    for (const std::string& file : files) {
        const std::string directory = std::filesystem::path(file).parent_path().string();
        const int watch = ::inotify_add_watch(fd_.get(), directory.c_str(),
                                              IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR);
        if (watch < 0) {
            log_error("plugins: {} cannot be watched: {}", directory, std::strerror(errno));
            continue;
        }
        directories_[watch] = directory;
        files_.insert(file);
    }
}

void Watch::read_events(SteadyTime now) {
    alignas(inotify_event) std::array<char, 4096> buffer{};
    for (;;) {
        const ssize_t got = ::read(fd_.get(), buffer.data(), buffer.size());
        if (got <= 0) return;
        for (std::size_t at = 0; at < static_cast<std::size_t>(got);) {
            inotify_event event{};
            std::memcpy(&event, buffer.data() + at, sizeof event);
            const char* const name = buffer.data() + at + sizeof event;
            at += sizeof event + event.len;
            if ((event.mask & IN_Q_OVERFLOW) != 0) {
                for (const std::string& file : files_) touched_[file] = now;
                continue;
            }
            const auto directory = directories_.find(event.wd);
            if (directory == directories_.end() || event.len == 0) continue;
            const std::string file = directory->second + "/" + name;
            if (files_.contains(file)) touched_[file] = now;
        }
    }
}

std::vector<std::string> Watch::changed(SteadyTime now) {
    std::vector<std::string> out;
    if (!fd_) return out;
    read_events(now);
    for (auto touched = touched_.begin(); touched != touched_.end();) {
        if (now - touched->second < limits::kWatchSettle) {
            ++touched;
            continue;
        }
        out.push_back(touched->first);
        touched = touched_.erase(touched);
    }
    return out;
}

}  // namespace export_worker::plugins
