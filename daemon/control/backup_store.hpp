// The copies that make up a backup while an operator fetches them: DIRECTORY/ID/NAME, readable by
// the daemon alone. Each backup ends when it is fetched or given up, or takes too long.
//
// A crash leaves copies, which the next start deletes.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/backup_manifest.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker::control {

// [any-thread]
class BackupStore {
public:
    // Deletes what a crash has left below `directory`. `clock` outlives the store.
    BackupStore(std::string directory, const Clock& clock);
    ~BackupStore();  // Deletes the copies.
    BackupStore(const BackupStore&) = delete;
    BackupStore& operator=(const BackupStore&) = delete;

    // Its id. Errors: kConflict while another one is under way; those of the file system.
    [[nodiscard]] Result<std::string> begin();
    // The process that fetches the one under way: when it ends, the backup does. Not above 0: it is
    // not known, as from another PID namespace.
    void set_client(std::int64_t pid);
    // Whether `id` is still wanted: not given up, its client lives, and within kBackupTimeMax.
    [[nodiscard]] bool is_wanted(const std::string& id) const;
    // `copy` writes the file at the path it is given; then it is hashed. Errors: those of `copy`
    // and of the file system; kCancelled once `keep_going` returns false.
    [[nodiscard]] Result<void> add(const std::string& id, const std::string& name,
                                   const std::function<Result<void>(const std::string&)>& copy,
                                   const std::function<bool()>& keep_going);
    // From now on it can be read, as long as no more than kBackupIdleMax pass between two reads.
    // Errors: kCancelled when it is no longer wanted.
    [[nodiscard]] Result<BackupManifest> complete(const std::string& id,
                                                  const std::string& version);
    // Errors: kNotFound.
    [[nodiscard]] Result<BackupManifest> manifest(const std::string& id);
    // At most `bytes_max` bytes from `offset` on; none at the end. Errors: kNotFound (id, name).
    [[nodiscard]] Result<std::string> read(const std::string& id, const std::string& name,
                                           std::int64_t offset, std::size_t bytes_max);
    // Deletes the copies; nothing happens for an unknown id.
    void end(const std::string& id);
    // Ends the one that nobody has read for too long, or whose client has ended.
    void expire();

private:
    struct Current {
        std::string id;
        SteadyTime began;
        SteadyTime used;
        bool is_complete = false;
        BackupManifest manifest;
        UniqueFd client = {};       // A pidfd; none: not known.
        bool is_abandoned = false;  // Its client had ended before it could be watched.
        [[nodiscard]] bool has_lost_client() const;
    };
    // Why it is over at `now`; empty: it is not.
    [[nodiscard]] static std::string why_over(const Current& current, SteadyTime now);
    [[nodiscard]] std::string path_of(const std::string& id, const std::string& name) const;
    void delete_copies(const std::string& id) const;

    const std::string directory_;
    const Clock& clock_;
    mutable std::mutex mutex_;
    std::optional<Current> current_;  // Guarded by mutex_.
};

}  // namespace export_worker::control
