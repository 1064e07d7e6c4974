#include "http_shim/link_keys.hpp"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include "base/io.hpp"
#include "base/limits.hpp"

namespace export_worker::http_shim {

Result<std::shared_ptr<LinkKeys>> LinkKeys::open(const std::string& path) {
    std::shared_ptr<LinkKeys> out(new LinkKeys(path));
    out->seen_ = out->look();
    EW_TRY(out->keys_, out->read());
    return out;
}

std::shared_ptr<const LinkKeys::Keys> LinkKeys::current() {
    const Seen now = look();
    const std::lock_guard lock(mutex_);
    if (now == seen_) return keys_;
    seen_ = now;
    auto keys = read();
    if (keys) {
        keys_ = std::move(*keys);
        spdlog::info("{}: {} keys", path_, keys_->size());
    } else {
        spdlog::error("{}; the keys before go on verifying", keys.error().message);
    }
    return keys_;
}

Result<std::shared_ptr<const LinkKeys::Keys>> LinkKeys::read() const {
    EW_TRY(const std::string text, read_secret_file(path_, limits::kSecretFileBytesMax));
    auto keys = signing::parse_local_link_keys(text);
    if (!keys) return fail(keys.error().code, path_ + ": " + keys.error().message);
    return std::make_shared<const Keys>(std::move(*keys));
}

LinkKeys::Seen LinkKeys::look() const {
    struct stat info {};
    if (::stat(path_.c_str(), &info) != 0) return {};
    return {info.st_ino, info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec};
}

}  // namespace export_worker::http_shim
