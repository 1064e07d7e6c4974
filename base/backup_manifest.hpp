// What a backup holds: the list that the daemon makes, that exportctl writes last, as the file
// manifest.json, and that a restore checks every file against. A backup without it is not complete.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker {

inline constexpr const char* kBackupManifestFile = "manifest.json";
inline constexpr std::array<std::string_view, 4> kBackupDatabases{"jobs.db", "catalog.db",
                                                                  "auth.db", "plugins.db"};
// Where plugin files are, named by their hash: in a backup as in a state directory.
inline constexpr std::string_view kBackupPluginsDirectory = "plugins/artifacts";

struct BackupFile {
    std::string name;  // A database, or "plugins/artifacts/SHA256.so".
    std::int64_t bytes = 0;
    std::string sha256;  // 64 hex digits, lower case.
    bool operator==(const BackupFile&) const = default;
};

struct BackupManifest {
    std::string version;            // The daemon that made the backup.
    std::string created_at;         // UTC, as to_iso8601() writes it.
    std::vector<BackupFile> files;  // Each database once, and at most kBackupFilesMax.
    [[nodiscard]] std::int64_t bytes() const;
    bool operator==(const BackupManifest&) const = default;
};

// One JSON object and a line end.
[[nodiscard]] std::string encode_backup_manifest(const BackupManifest& manifest);
// Every name in it is safe to append to a directory. Errors: kInvalidArgument for another text,
// kFailedPrecondition for a newer format.
[[nodiscard]] Result<BackupManifest> parse_backup_manifest(std::string_view text);

}  // namespace export_worker
