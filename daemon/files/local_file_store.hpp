// Export files in a directory of this machine.
//
// ROOT/ORGANIZATION/JOB.EPOCH.csv, written under the same name with ".part" behind it. open()
// deletes every ".part" file a crash has left: the caller holds the lock of the state directory, so
// no process is writing them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "daemon/files/file_store.hpp"

namespace export_worker::files {

class LocalFileStore final : public FileStore {
public:
    // Creates the directory when missing. `root` is absolute. Errors: those of the file system, and
    // kPermissionDenied where nothing may be written.
    [[nodiscard]] static Result<std::unique_ptr<LocalFileStore>> open(const std::string& root);

    Result<std::unique_ptr<PendingFile>> create(const NewFile& file) override;
    Result<bool> remove(const model::FileKey& key) override;
    Result<std::optional<FileFacts>> inspect(const model::FileKey& key, bool with_hash) override;
    Result<void> list(const std::function<Result<void>(const ListedFile&)>& visit) override;
    bool is_remote() const override { return false; }
    std::string where() const override { return root_; }
    // .part files open() found and deleted.
    [[nodiscard]] std::size_t parts_swept() const { return parts_swept_; }

private:
    explicit LocalFileStore(std::string root) : root_(std::move(root)) {}
    [[nodiscard]] Result<std::string> path_of(const model::FileKey& key) const;

    std::string root_;
    std::size_t parts_swept_ = 0;
};

}  // namespace export_worker::files
