// The keys that verify links of one store, read again when their file changes: a daemon signs with
// a new key as soon as it sees it.
#pragma once

#include <sys/types.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "signing/local_link.hpp"

namespace export_worker::downloads {

class LinkKeys {
public:
    using Keys = std::vector<signing::LocalLinkKey>;

    // Errors: those of reading and parsing the file, naming it. `owner`: who may own it beside root
    // and the user of this process.
    [[nodiscard]] static Result<std::shared_ptr<LinkKeys>> open(const std::string& path,
                                                                std::optional<uid_t> owner = {});
    // Of now: one stat. A file that has become unreadable is logged once, and the last good keys
    // go on verifying. [any-thread]
    [[nodiscard]] std::shared_ptr<const Keys> current();

private:
    LinkKeys(std::string path, std::optional<uid_t> owner)
        : path_(std::move(path)), owner_(owner) {}
    [[nodiscard]] Result<std::shared_ptr<const Keys>> read() const;

    const std::string path_;
    const std::optional<uid_t> owner_;
    std::mutex mutex_;
    std::string seen_;  // The file's version. Guarded by mutex_, like the keys.
    std::shared_ptr<const Keys> keys_;
};

}  // namespace export_worker::downloads
