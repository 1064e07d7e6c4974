// One export file while it is being written.
//
// The file shows up under its key only once commit() has returned. Until then its bytes live in a
// ".part" file next to it, and a crash leaves nothing else: LocalFileStore::open() deletes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/crypto/sha256.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "daemon/model/file.hpp"

namespace export_worker::files {

// Threads: [one-owner], may move between threads but never serves two at once.
class PendingFile {
public:
    PendingFile(PendingFile&& other) noexcept;
    ~PendingFile();  // Without commit(), drops the bytes; a failed delete is logged, never thrown.

    // Adds `bytes` at the end; borrows them for this call only. Blocks on the disk.
    // Errors: kResourceExhausted on a full disk, kDataLoss if a write fails.
    // After any error the only legal next step is destruction.
    [[nodiscard]] Result<void> append(std::string_view bytes);

    // Syncs the file, gives it its name (an existing file of that name is an error: keys are never
    // reused), syncs the directory. Returns size and SHA-256 of what was published.
    [[nodiscard]] Result<model::FileReceipt> commit() &&;

private:
    friend class LocalFileStore;  // Sole maker.
    PendingFile(UniqueFd fd, model::FileKey key, std::string final_path);
    [[nodiscard]] Result<void> flush();
    [[nodiscard]] std::string part_path() const;

    UniqueFd fd_;
    model::FileKey key_;
    std::string final_path_;
    std::string buffer_;  // Less than kFileWriteBufferBytes.
    crypto::Sha256 digest_;
    std::uint64_t bytes_ = 0;
    bool owns_part_ = true;  // The .part file is ours to delete.
};

}  // namespace export_worker::files
