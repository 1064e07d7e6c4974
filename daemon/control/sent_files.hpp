// Files that operators send piece by piece: DIRECTORY/sent-ID.part until they are taken or given
// up.
//
// A crash leaves them; the next start deletes them with the other .part files of the directory.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/crypto/sha256.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker::control {

// [one-owner]
class SentFiles {
public:
    // `clock` outlives it.
    SentFiles(std::string directory, const Clock& clock)
        : directory_(std::move(directory)), clock_(clock) {}
    ~SentFiles();  // Deletes what was not taken.
    SentFiles(const SentFiles&) = delete;
    SentFiles& operator=(const SentFiles&) = delete;

    // The id of a new one, which will have `bytes` bytes with this SHA-256 (64 hex digits). Errors:
    // kInvalidArgument above kPluginFileBytesMax, kConflict while kSentFilesMax are under way, and
    // those of the file system.
    [[nodiscard]] Result<std::string> begin(std::int64_t bytes, const std::string& sha256);
    // In order: `offset` is how much was sent before. Errors: kNotFound, kInvalidArgument (offset,
    // more bytes than announced), and those of the file system; after one it is given up.
    [[nodiscard]] Result<void> append(const std::string& id, std::int64_t offset,
                                      std::string_view bytes);
    // The path of a file that is whole; from now on it is the caller's to delete. Errors:
    // kNotFound; kDataLoss when size or hash are not what was announced, and it is given up.
    [[nodiscard]] Result<std::string> take(const std::string& id);
    // Gives up those that got nothing for kSentFileIdleMax.
    void expire();

private:
    struct File {
        UniqueFd fd;
        std::int64_t bytes;
        std::string sha256;
        std::int64_t sent = 0;
        crypto::Sha256 digest = {};
        SteadyTime used;
    };
    [[nodiscard]] Result<void> append_to(const std::string& id, File& file, std::int64_t offset,
                                         std::string_view bytes);
    [[nodiscard]] std::string path_of(const std::string& id) const;
    void drop(const std::string& id);

    const std::string directory_;
    const Clock& clock_;
    std::map<std::string, File> files_;
};

}  // namespace export_worker::control
