// The keys that verify links of one store, read again when their file changes: a daemon signs with
// a new key as soon as it sees it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "signing/local_link.hpp"

namespace export_worker::downloads {

class LinkKeys {
public:
    using Keys = std::vector<signing::LocalLinkKey>;

    // Errors: those of reading and parsing the file, naming it.
    [[nodiscard]] static Result<std::shared_ptr<LinkKeys>> open(const std::string& path);
    // Of now: one stat. A file that has become unreadable is logged once, and the last good keys
    // go on verifying. [any-thread]
    [[nodiscard]] std::shared_ptr<const Keys> current();

private:
    explicit LinkKeys(std::string path) : path_(std::move(path)) {}
    [[nodiscard]] Result<std::shared_ptr<const Keys>> read() const;

    const std::string path_;
    std::mutex mutex_;
    std::string seen_;  // The file's version. Guarded by mutex_, like the keys.
    std::shared_ptr<const Keys> keys_;
};

}  // namespace export_worker::downloads
