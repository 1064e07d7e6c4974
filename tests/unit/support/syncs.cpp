#include "tests/unit/support/syncs.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <optional>

namespace export_worker::testing {
namespace {

std::mutex g_mutex;
std::optional<std::vector<std::string>> g_paths;  // Guarded by g_mutex.

}  // namespace

Syncs::Syncs() {
    const std::lock_guard lock(g_mutex);
    g_paths.emplace();
}

Syncs::~Syncs() {
    const std::lock_guard lock(g_mutex);
    g_paths.reset();
}

std::vector<std::string> Syncs::paths() const {
    const std::lock_guard lock(g_mutex);
    return g_paths.value();
}

}  // namespace export_worker::testing

// The program's own, so that everything linked into it finds this one before the C library's.
extern "C" __attribute__((visibility("default"))) int fsync(int fd) {
    using namespace export_worker::testing;
    {
        const std::lock_guard lock(g_mutex);
        std::error_code ignored;
        if (g_paths) {
            g_paths->push_back(
                std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), ignored)
                    .string());
        }
    }
    using Sync = int (*)(int);
    static const auto next = reinterpret_cast<Sync>(::dlsym(RTLD_NEXT, "fsync"));
    return next(fd);
}
