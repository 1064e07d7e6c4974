#include "daemon/plugins/staging/artifact_store.hpp"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/crypto/sha256.hpp"
#include "base/fault_point.hpp"
#include "base/hex.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "daemon/plugins/staging/trust.hpp"

namespace export_worker::plugins {
namespace {

constexpr const char* kStage = "staging";

// Deletes its file unless it was kept.
class PartFile {
public:
    explicit PartFile(std::string path) : path_(std::move(path)) {}
    PartFile(const PartFile&) = delete;
    PartFile& operator=(const PartFile&) = delete;
    ~PartFile() {
        if (!path_.empty()) (void)::unlink(path_.c_str());
    }
    void keep() { path_.clear(); }

private:
    std::string path_;
};

Result<void> delete_all(const std::string& directory, bool only_parts) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
        if (only_parts && entry.path().extension() != ".part") continue;
        if (::unlink(entry.path().c_str()) != 0)
            return fail(errno_error("delete " + entry.path().string(), errno));
    }
    if (error) return fail(errno_error("list " + directory, error.value()));
    return {};
}

// Reads to the end of `from`, hashing and writing what it reads as it goes.
Verdict<Artifact> copy_hashed(int from, int to, const std::string& source,
                              const std::string& target) {
    Artifact out;
    crypto::Sha256 digest;
    std::string chunk(1 << 16, '\0');
    for (;;) {
        const ssize_t got = ::read(from, chunk.data(), chunk.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return refuse(refusal_of(kStage, errno_error("read " + source, errno)));
        if (got == 0) break;
        const std::string_view piece(chunk.data(), static_cast<std::size_t>(got));
        if (out.bytes.size() + piece.size() > limits::kPluginFileBytesMax) {
            return refuse({"size", kStage, "at most 64 MiB", "a larger file",
                           "strip the debug information into a file of its own"});
        }
        digest.update(piece);
        out.bytes.append(piece);
        if (auto written = write_all(to, piece, target); !written)
            return refuse(refusal_of(kStage, written.error()));
    }
    if (out.bytes.empty()) {
        return refuse({"not_elf", kStage, "a plugin file", source + " is empty", "copy it again"});
    }
    out.sha256 = to_hex(digest.finish());
    return out;
}

}  // namespace

Result<ArtifactStore> ArtifactStore::open(const std::string& directory) {
    ArtifactStore store(directory);
    EW_CHECK(make_directories(directory, 0700));
    EW_CHECK(make_directories(store.artifacts_, 0700));
    EW_CHECK(make_directories(store.live_, 0700));
    EW_CHECK(delete_all(store.live_, false));
    EW_CHECK(delete_all(store.artifacts_, true));
    struct statvfs mount {};
    if (::statvfs(store.live_.c_str(), &mount) == 0 && (mount.f_flag & ST_NOEXEC) != 0) {
        return fail(ErrorCode::kFailedPrecondition,
                    store.live_ +
                        ": lies on a noexec mount, from which no plugin can be loaded; put "
                        "state_dir on another one");
    }
    return store;
}

Verdict<Artifact> ArtifactStore::take_in(const std::string& source) {
    EW_TRY(const UniqueFd from, open_trusted(source));
    return take_in_open(from.get(), source);
}

Verdict<Artifact> ArtifactStore::take_in_sent(const std::string& path, const std::string& source) {
    const PartFile deletes(path);
    const UniqueFd from(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!from) return refuse(refusal_of(kStage, errno_error("open " + path, errno)));
    return take_in_open(from.get(), source);
}

Verdict<Artifact> ArtifactStore::take_in_open(int from, const std::string& source) {
    const std::string part = artifacts_ + "/taking-in.part";
    const UniqueFd to(
        ::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0400));
    PartFile guard(part);
    if (!to) return refuse(refusal_of(kStage, errno_error("create " + part, errno)));
    EW_TRY(Artifact artifact, copy_hashed(from, to.get(), source, part));
    fault_point("plugin.file_copied");
    if (has(artifact.sha256)) return artifact;
    if (::fsync(to.get()) != 0)
        return refuse(refusal_of(kStage, errno_error("sync " + part, errno)));
    if (::rename(part.c_str(), path_of(artifact.sha256).c_str()) != 0)
        return refuse(refusal_of(kStage, errno_error("rename " + part, errno)));
    guard.keep();
    if (auto synced = sync_directory(artifacts_); !synced)
        return refuse(refusal_of(kStage, synced.error()));
    return artifact;
}

bool ArtifactStore::has(const std::string& sha256) const {
    return ::access(path_of(sha256).c_str(), R_OK) == 0;
}

Verdict<Artifact> ArtifactStore::find(const std::string& sha256) const {
    auto bytes = read_file(path_of(sha256), limits::kPluginFileBytesMax);
    if (!bytes) return refuse(refusal_of(kStage, bytes.error()));
    const std::string found = to_hex(crypto::sha256(*bytes));
    if (found != sha256) {
        return refuse({"io", kStage, "the kept file with hash " + sha256,
                       "bytes with hash " + found,
                       "the disk has changed it: reload from the original file"});
    }
    return Artifact{sha256, std::move(*bytes)};
}

std::set<std::string> ArtifactStore::matching(const std::string& prefix) const {
    std::set<std::string> out;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(artifacts_, error)) {
        const std::string name = entry.path().stem().string();
        if (name.size() == 64 && name.starts_with(prefix)) out.insert(name);
    }
    return out;
}

Verdict<std::string> ArtifactStore::make_live_copy(const Artifact& artifact) {
    const std::string path = live_ + "/" + std::to_string(::getpid()) + "-" +
                             std::to_string(++copies_) + "-" + artifact.sha256.substr(0, 16) +
                             ".so";
    const UniqueFd to(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0500));
    if (!to) return refuse(refusal_of(kStage, errno_error("create " + path, errno)));
    if (auto written = write_all(to.get(), artifact.bytes, path); !written) {
        (void)::unlink(path.c_str());
        return refuse(refusal_of(kStage, written.error()));
    }
    return path;
}

void ArtifactStore::drop_live_copy(const std::string& path) const {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        log_warn("plugins: {}", errno_error("delete " + path, errno).message);
}

void ArtifactStore::keep_only(const std::set<std::string>& wanted) const {
    for (const std::string& sha256 : matching("")) {
        if (!wanted.contains(sha256) && ::unlink(path_of(sha256).c_str()) != 0)
            log_warn("plugins: {}", errno_error("delete " + path_of(sha256), errno).message);
    }
}

}  // namespace export_worker::plugins
