// Export files in a directory of this machine.
//
// ROOT/ORGANIZATION/JOB.EPOCH-CLAIM.csv, written under the same name with ".part" behind it. open()
// deletes every ".part" file a crash has left: the caller holds the lock of the state directory, so
// no process is writing them. Below a root that several daemons share, others are writing: there
// remove() deletes the ".part" file of a key with the file, and list() visits it under that key.
//
// ROOT/.export-worker-REGISTRY is the mark of the registry whose exports are there
// (base/store_mark.hpp). A root without it, such as an empty mount point or the store of another
// registry, is away: every function then returns kUnavailable, nothing is written there, and no
// file counts as missing. It is back as soon as the mark is.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "daemon/files/file_store.hpp"

namespace export_worker::files {

// Who has published what is below a root.
struct RootOwner {
    std::string registry_id;                // Empty: any directory is right, and none is marked.
    std::vector<model::FileKey> published;  // Some of its files. Empty: it has published none.
    bool is_shared = false;                 // Several daemons of the registry write there.
};
// Whether `root` is the one of `owner`: it has the owner's mark; or no mark of any registry, and
// all but a tenth of the published files (of none: all). What the mark's name belongs to is a
// regular file, or no mark.
[[nodiscard]] bool is_root_of(const std::string& root, const RootOwner& owner);

// Why nothing can be said of the files below `root`, with what to do; empty: it is the root of
// `owner`. [any-thread]
[[nodiscard]] std::string root_problem(const std::string& root, const RootOwner& owner);

class LocalFileStore final : public FileStore {
public:
    // Creates and marks the directory when it is missing, unless files of `owner` must be there:
    // then the store is away. `root` is absolute. Errors: those of the file system, and
    // kFailedPrecondition where nothing may be written, or others may write.
    [[nodiscard]] static Result<std::unique_ptr<LocalFileStore>> open(const std::string& root,
                                                                      const RootOwner& owner = {});

    Result<std::unique_ptr<PendingFile>> create(const NewFile& file) override;
    Result<bool> remove(const model::FileKey& key) override;
    Result<std::optional<FileFacts>> inspect(const model::FileKey& key, bool with_hash) override;
    Result<void> list(const std::function<Result<void>(const ListedFile&)>& visit) override;
    bool is_remote() const override { return false; }
    std::string problem() const override;
    std::string where() const override { return root_; }
    // .part files open() found and deleted.
    [[nodiscard]] std::size_t parts_swept() const { return parts_swept_; }

private:
    LocalFileStore(std::string root, std::string mark, bool is_shared)
        : root_(std::move(root)), mark_(std::move(mark)), is_shared_(is_shared) {}
    [[nodiscard]] Result<std::string> path_of(const model::FileKey& key) const;
    [[nodiscard]] Result<void> check_present() const;
    [[nodiscard]] Result<void> sweep_parts();
    // False: it was not there.
    [[nodiscard]] Result<bool> remove_path(const std::string& path);

    std::string root_;
    std::string mark_;  // The path of the mark; empty: none.
    bool is_shared_;
    std::size_t parts_swept_ = 0;
};

}  // namespace export_worker::files
