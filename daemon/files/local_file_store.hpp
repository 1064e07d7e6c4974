// Export files in a directory of this machine.
//
// ROOT/ORGANIZATION/JOB.EPOCH.csv. open() deletes every ".part" file: the caller holds the lock of
// the state directory, so nobody is writing them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/files/pending_file.hpp"
#include "daemon/model/file.hpp"

namespace export_worker::files {

class LocalFileStore {
public:
    // Creates the directory when missing. `root` is absolute. Errors: those of the file system.
    [[nodiscard]] static Result<LocalFileStore> open(const std::string& root);

    // Errors: kInvalidArgument for a key that would leave the root; those of the file system.
    // [any-thread]
    [[nodiscard]] Result<PendingFile> create(const model::FileKey& key) const;
    // True: there was a file. Its directory entry is gone for good when this returns. [any-thread]
    [[nodiscard]] Result<bool> remove(const model::FileKey& key) const;
    [[nodiscard]] const std::string& root() const { return root_; }
    // .part files open() found and deleted.
    [[nodiscard]] std::size_t parts_swept() const { return parts_swept_; }

private:
    explicit LocalFileStore(std::string root) : root_(std::move(root)) {}
    [[nodiscard]] Result<std::string> path_of(const model::FileKey& key) const;

    std::string root_;
    std::size_t parts_swept_ = 0;
};

}  // namespace export_worker::files
