#include "daemon/control/sent_files.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/crypto/uuid.hpp"
#include "base/hex.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "daemon/control/limits.hpp"

namespace export_worker::control {
namespace {

tl::unexpected<Error> unknown() {
    return fail(ErrorCode::kNotFound,
                "no file with this id was sent: it was taken, or got nothing "
                "for " +
                    std::to_string(limits::kSentFileIdleMax.count()) + " s; send it again");
}

}  // namespace

SentFiles::~SentFiles() {
    while (!files_.empty()) drop(files_.begin()->first);
}

std::string SentFiles::path_of(const std::string& id) const {
    return directory_ + "/sent-" + id + ".part";
}

void SentFiles::drop(const std::string& id) {
    (void)::unlink(path_of(id).c_str());
    files_.erase(id);
}

Result<std::string> SentFiles::begin(std::int64_t bytes, const std::string& sha256) {
    if (bytes < 0 || bytes > static_cast<std::int64_t>(limits::kPluginFileBytesMax))
        return fail(ErrorCode::kInvalidArgument, "bytes: expected at most " +
                                                     std::to_string(limits::kPluginFileBytesMax) +
                                                     ", found " + std::to_string(bytes));
    if (files_.size() >= limits::kSentFilesMax)
        return fail(ErrorCode::kConflict, std::to_string(files_.size()) +
                                              " files are being sent; wait until they have ended");
    std::string id = crypto::make_uuid7(clock_.unix_us());
    const std::string path = path_of(id);
    UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) return fail(errno_error("create " + path, errno));
    files_.emplace(id, File{std::move(fd), bytes, sha256, 0, {}, clock_.steady()});
    return id;
}

Result<void> SentFiles::append(const std::string& id, std::int64_t offset, std::string_view bytes) {
    const auto found = files_.find(id);
    if (found == files_.end()) return unknown();
    auto appended = append_to(id, found->second, offset, bytes);
    if (!appended) drop(id);
    return appended;
}

Result<void> SentFiles::append_to(const std::string& id, File& file, std::int64_t offset,
                                  std::string_view bytes) {
    if (offset != file.sent)
        return fail(ErrorCode::kInvalidArgument, "offset: expected " + std::to_string(file.sent) +
                                                     ", found " + std::to_string(offset));
    if (static_cast<std::int64_t>(bytes.size()) > file.bytes - file.sent)
        return fail(ErrorCode::kInvalidArgument,
                    "base64: expected at most " + std::to_string(file.bytes - file.sent) +
                        " bytes more, found " + std::to_string(bytes.size()));
    EW_CHECK(write_all(file.fd.get(), bytes, path_of(id)));
    file.digest.update(bytes);
    file.sent += static_cast<std::int64_t>(bytes.size());
    file.used = clock_.steady();
    return {};
}

Result<std::string> SentFiles::take(const std::string& id) {
    const auto found = files_.find(id);
    if (found == files_.end()) return unknown();
    File& file = found->second;
    if (file.sent != file.bytes || to_hex(file.digest.finish()) != file.sha256) {
        drop(id);
        return fail(ErrorCode::kDataLoss,
                    "the file that was sent is not the one that was announced; send it again");
    }
    files_.erase(found);
    return path_of(id);
}

void SentFiles::expire() {
    std::vector<std::string> idle;
    for (const auto& [id, file] : files_) {
        if (clock_.steady() - file.used > limits::kSentFileIdleMax) idle.push_back(id);
    }
    for (const std::string& id : idle) drop(id);
}

}  // namespace export_worker::control
