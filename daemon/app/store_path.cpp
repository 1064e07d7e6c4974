#include "daemon/app/store_path.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/unique_fd.hpp"

namespace export_worker::app {
namespace {

// Whether `path` is `directory` or below it.
bool is_within(const std::filesystem::path& path, const std::filesystem::path& directory) {
    const auto inside = path.lexically_normal();
    const auto outside = directory.lexically_normal();
    return std::ranges::mismatch(outside, inside).in1 == outside.end();
}

std::filesystem::path nearest_existing(const std::string& path) {
    std::filesystem::path existing = path;
    std::error_code error;
    while (!std::filesystem::exists(existing, error) && existing.has_relative_path())
        existing = existing.parent_path();
    return existing;
}

std::string unit_needs(const std::string& root) {
    return "export-workerd.service needs ReadWritePaths=" + root + " (docs/install.md)";
}

}  // namespace

Result<void> check_holds_files(const std::string& path) {
    const std::filesystem::path existing = nearest_existing(path);
    std::string probe = (existing / ".check-export-worker-XXXXXX").string();
    const UniqueFd fd(::mkostemp(probe.data(), O_CLOEXEC));
    if (!fd) return fail(errno_error("make a file in " + existing.string(), errno));
    (void)::unlink(probe.c_str());
    return {};
}

Result<void> check_writable(const std::string& root) {
    const std::filesystem::path existing = nearest_existing(root);
    if (::access(existing.c_str(), W_OK) == 0) return {};
    const int number = errno;
    Error refused = errno_error("write in " + existing.string(), number);
    if (number == EROFS) refused.message += "; under systemd " + unit_needs(root);
    return fail(std::move(refused));
}

Result<std::string> check_export_path(const config::Config& config) {
    const auto store =
        std::ranges::find(config.stores, config.exports.store, &model::StoreSettings::name);
    if (config.exports.workers == 0 || store == config.stores.end() || store->kind != "local")
        return std::string();
    const std::string& root = store->values.at("root");
    if (is_within(root, config.state_dir)) return std::string();
    if (auto writable = check_writable(root); !writable)
        return fail(writable.error().code,
                    "[store." + store->name + "] root: " + writable.error().message);
    return "[store." + store->name + "] root " + root + " is outside state_dir: under systemd " +
           unit_needs(root);
}

}  // namespace export_worker::app
