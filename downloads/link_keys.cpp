#include "downloads/link_keys.hpp"

#include "base/io.hpp"
#include "base/log.hpp"
#include "base/shared_limits.hpp"

namespace export_worker::downloads {

Result<std::shared_ptr<LinkKeys>> LinkKeys::open(const std::string& path,
                                                 std::optional<uid_t> owner) {
    std::shared_ptr<LinkKeys> out(new LinkKeys(path, owner));
    out->seen_ = file_version(path);
    EW_TRY(out->keys_, out->read());
    return out;
}

std::shared_ptr<const LinkKeys::Keys> LinkKeys::current() {
    std::string now = file_version(path_);
    const std::lock_guard lock(mutex_);
    if (now == seen_) return keys_;
    seen_ = std::move(now);
    auto keys = read();
    if (keys) {
        keys_ = std::move(*keys);
        log_info("{}: {} keys", path_, keys_->size());
    } else {
        log_error("{}; the keys before go on verifying", keys.error().message);
    }
    return keys_;
}

Result<std::shared_ptr<const LinkKeys::Keys>> LinkKeys::read() const {
    EW_TRY(const std::string text, read_secret_file(path_, limits::kSecretFileBytesMax, owner_));
    auto keys = signing::parse_local_link_keys(text);
    if (!keys) return fail(keys.error().code, path_ + ": " + keys.error().message);
    return std::make_shared<const Keys>(std::move(*keys));
}

}  // namespace export_worker::downloads
