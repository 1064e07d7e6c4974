// A backup on its way into a state directory.
//
//   STATE/restore.part          copies of the backup while they are checked
//   STATE/restore               checked copies (new), and what had their places (old)
//   STATE/before-restore-TIME   what had their places, once all of it is done
//
// A crash leaves restore.part, which counts for nothing, or restore, which finish_restore() carries
// out: the daemon starts with the old state or with the new one, never with parts of both.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/backup_manifest.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker::app {

// A backup whose files are all open: their names are not used again. [one-owner]
class OpenBackup {
public:
    // Directories and files must belong to root, to the user that runs this or to `owner`, and
    // group and others may have no rights. Errors: kNotFound (no manifest: not complete),
    // kFailedPrecondition (rights, a newer format, a file that the manifest does not name),
    // kInvalidArgument (manifest), kDataLoss (a file is missing or has another size).
    [[nodiscard]] static Result<OpenBackup> open(const std::string& path, uid_t owner);
    [[nodiscard]] const BackupManifest& manifest() const { return manifest_; }
    [[nodiscard]] const std::string& path() const { return path_; }
    // Copies and syncs every file into `directory`, which is empty. Once. Errors: kDataLoss when a
    // hash is not that of the manifest, and those of the file system.
    [[nodiscard]] Result<void> copy_to(const std::string& directory) const;

private:
    std::string path_;
    BackupManifest manifest_;
    std::vector<UniqueFd> files_;  // In the order of the manifest.
};

// The databases and plugin files that a state directory has, by name.
[[nodiscard]] std::vector<std::string> state_in_use(const std::string& state_dir);
// Copies and checks the backup; from its return on finish_restore() puts it in place. The caller
// holds the lock of the directory, and no restore is unfinished. Errors: those of copy_to(), of a
// database that is damaged or that this version cannot open, and kFailedPrecondition for a backup
// of another registry than the one that is there; then nothing has changed.
[[nodiscard]] Result<void> stage_restore(const OpenBackup& backup, const std::string& state_dir);

struct FinishedRestore {
    bool was_staged = false;  // Otherwise there was nothing to do.
    std::string before;       // Where the old state is now; empty: there was none.
};
// Puts what was staged in place; after a crash, what is left of it. The caller holds the lock.
// Errors: those of the file system, with how to finish it and how to go back; the same call goes on
// where it ended.
[[nodiscard]] Result<FinishedRestore> finish_restore(const std::string& state_dir,
                                                     const Clock& clock);

}  // namespace export_worker::app
