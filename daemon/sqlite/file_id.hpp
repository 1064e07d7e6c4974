// Which file a path names: SQLite keeps a file open whose name is gone or names another one.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

namespace export_worker::sqlite {

struct FileId {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const FileId&) const = default;
};

// nullopt: the path names nothing that can be looked at.
[[nodiscard]] inline std::optional<FileId> file_id(const std::string& path) {
    struct stat found {};
    if (::stat(path.c_str(), &found) != 0) return std::nullopt;
    return FileId{found.st_dev, found.st_ino};
}

}  // namespace export_worker::sqlite
