#include "daemon/files/pending_file.hpp"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/hex.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "daemon/files/file_url.hpp"

namespace export_worker::files {

PendingFile::PendingFile(UniqueFd fd, model::FileKey key, std::string final_path)
    : fd_(std::move(fd)), key_(std::move(key)), final_path_(std::move(final_path)) {
    buffer_.reserve(limits::kFileWriteBufferBytes);
}

PendingFile::PendingFile(PendingFile&& other) noexcept
    : fd_(std::move(other.fd_)),
      key_(std::move(other.key_)),
      final_path_(std::move(other.final_path_)),
      buffer_(std::move(other.buffer_)),
      digest_(std::move(other.digest_)),
      bytes_(other.bytes_),
      owns_part_(std::exchange(other.owns_part_, false)) {}

PendingFile::~PendingFile() {
    if (owns_part_ && ::unlink(part_path().c_str()) != 0 && errno != ENOENT) {
        spdlog::warn("delete {}: {}", part_path(), errno_error("unlink", errno).message);
    }
}

std::string PendingFile::part_path() const {
    return final_path_ + ".part";
}

Result<void> PendingFile::append(std::string_view bytes) {
    digest_.update(bytes);
    bytes_ += bytes.size();
    if (buffer_.size() + bytes.size() >= limits::kFileWriteBufferBytes) EW_CHECK(flush());
    if (bytes.size() >= limits::kFileWriteBufferBytes)
        return write_all(fd_.get(), bytes, part_path());
    buffer_.append(bytes);
    return {};
}

Result<void> PendingFile::flush() {
    EW_CHECK(write_all(fd_.get(), buffer_, part_path()));
    // Starts write-back of what is there now, so that the sync at the end is short. Advisory.
    (void)::sync_file_range(fd_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
    buffer_.clear();
    return {};
}

Result<model::FileReceipt> PendingFile::commit() && {
    EW_CHECK(flush());
    // One failed sync is final: the kernel may have dropped the pages, and a second sync would lie.
    if (::fsync(fd_.get()) != 0) return fail(errno_error("sync " + part_path(), errno));
    if (::renameat2(AT_FDCWD, part_path().c_str(), AT_FDCWD, final_path_.c_str(),
                    RENAME_NOREPLACE) != 0) {
        return fail(errno_error("publish " + final_path_, errno));
    }
    owns_part_ = false;
    EW_CHECK(sync_directory(std::filesystem::path(final_path_).parent_path().string()));
    return model::FileReceipt{key_, to_file_url(final_path_), bytes_, to_hex(digest_.finish())};
}

}  // namespace export_worker::files
