// The directory of a backup while it is written. Its files belong to the caller, with mode 0600 in
// directories with 0700.
//
// manifest.json comes last, once everything else is on disk: a crash leaves a directory without it,
// which no restore takes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/backup_manifest.hpp"
#include "base/crypto/sha256.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker::exportctl {

// [one-owner]
class BackupDirectory {
public:
    // Creates `path` in a directory that is there, or takes an empty directory of this user.
    // Errors: kConflict when it is not empty or another user's, kFailedPrecondition when the
    // directory above it is missing, and those of the file system.
    [[nodiscard]] static Result<BackupDirectory> create(const std::string& path);
    BackupDirectory(BackupDirectory&& other) noexcept;
    ~BackupDirectory();  // Without commit(): deletes what was written, and the directory it made.

    // Then append() all of its bytes, then end_file().
    [[nodiscard]] Result<void> begin_file(const BackupFile& file);
    // Errors: kResourceExhausted (a full disk), kDataLoss for more bytes than the file has.
    [[nodiscard]] Result<void> append(std::string_view bytes);
    // Syncs it. Errors: kDataLoss when size or hash are not those of begin_file().
    [[nodiscard]] Result<void> end_file();
    // Syncs all directories, then makes the backup complete.
    [[nodiscard]] Result<void> commit(const BackupManifest& manifest);

private:
    BackupDirectory(std::string path, bool is_made) : path_(std::move(path)), is_made_(is_made) {}
    std::string path_;  // Empty: nothing to delete any more.
    bool is_made_;
    BackupFile file_;
    std::int64_t written_ = 0;
    crypto::Sha256 digest_;
    UniqueFd fd_;
};

}  // namespace export_worker::exportctl
