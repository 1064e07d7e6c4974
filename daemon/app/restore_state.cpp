#include "daemon/app/restore_state.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "base/crypto/sha256.hpp"
#include "base/fault_point.hpp"
#include "base/hex.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "base/trust.hpp"
#include "base/user_name.hpp"
#include "daemon/auth/sqlite/sqlite_auth_store.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "daemon/plugins/lifecycle/history.hpp"
#include "daemon/sqlite/integrity.hpp"

namespace export_worker::app {
namespace {

namespace fs = std::filesystem;

// What changes places, each by one rename.
constexpr std::array<const char*, 5> kPlaces{"jobs.db", "catalog.db", "auth.db", "plugins.db",
                                             "plugins"};
// What belongs to a database of that name; none of them comes with a backup.
constexpr std::array<const char*, 4> kWithFiles{"", "-wal", "-shm", "-journal"};

bool exists(const std::string& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0;
}

Result<void> rename_to(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return fail(errno_error("rename " + from + " to " + to, errno));
}

Result<void> delete_tree(const std::string& path) {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) return fail(errno_error("delete " + path, error.value()));
    return {};
}

// What others could have written is no backup; what others can read has leaked the hashes of keys.
Result<void> check_private(const struct stat& info, const std::string& path, uid_t owner) {
    if (info.st_uid != 0 && info.st_uid != ::geteuid() && info.st_uid != owner)
        return fail(ErrorCode::kFailedPrecondition,
                    path + ": expected one of " + root_or(owner) + ", found one of " +
                        user_name(info.st_uid) + "; run chown on it if you trust what is in it");
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return fail(ErrorCode::kFailedPrecondition,
                    path + ": expected no rights for group and others; run chmod go= " + path +
                        " if only that user has written to it");
    return {};
}

Result<UniqueFd> open_private(const std::string& path, int flags, uid_t owner) {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | flags));
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0) return fail(errno_error("open " + path, errno));
    EW_CHECK(check_private(info, path, owner));
    if (flags == 0 && !S_ISREG(info.st_mode))
        return fail(ErrorCode::kFailedPrecondition, path + ": expected a regular file");
    return fd;
}

Result<BackupManifest> read_manifest(const std::string& directory, uid_t owner) {
    const std::string path = directory + "/" + kBackupManifestFile;
    if (!exists(path))
        return fail(ErrorCode::kNotFound, directory + ": expected a backup with " +
                                              kBackupManifestFile +
                                              ", found none; it is no backup, or one that was cut "
                                              "off: use another one");
    EW_CHECK(open_private(path, 0, owner));
    EW_TRY(const std::string text, read_file(path, limits::kBackupManifestBytesMax));
    auto manifest = parse_backup_manifest(text);
    if (!manifest) return fail(manifest.error().code, path + ": " + manifest.error().message);
    return manifest;
}

Result<UniqueFd> open_file(const std::string& directory, const BackupFile& file, uid_t owner) {
    const std::string path = directory + "/" + file.name;
    auto fd = open_private(path, 0, owner);
    if (!fd && fd.error().code == ErrorCode::kNotFound)
        return fail(ErrorCode::kDataLoss, fd.error().message + "; " + kBackupManifestFile +
                                              " names it: use another backup");
    if (!fd) return fd;
    struct stat info {};
    if (::fstat(fd->get(), &info) != 0) return fail(errno_error("stat " + path, errno));
    if (info.st_size == file.bytes) return fd;
    return fail(ErrorCode::kDataLoss, path + ": expected " + std::to_string(file.bytes) +
                                          " bytes, found " + std::to_string(info.st_size) +
                                          "; use another backup");
}

// Returns the SHA-256 of all that `from` has.
Result<std::string> copy_hashed(int from, int to, const std::string& source,
                                const std::string& target) {
    crypto::Sha256 digest;
    std::string piece(std::size_t{1} << 20U, '\0');
    for (;;) {
        const ssize_t got = ::read(from, piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("read " + source, errno));
        if (got == 0) return to_hex(digest.finish());
        const std::string_view bytes(piece.data(), static_cast<std::size_t>(got));
        digest.update(bytes);
        EW_CHECK(write_all(to, bytes, target));
    }
}

// Reading makes files beside the database; nothing is to be left of it.
Result<jobs::RegistryFacts> read_registry_of(const std::string& state_dir) {
    std::vector<std::string> made;
    for (const char* with : {"/jobs.db-wal", "/jobs.db-shm"}) {
        if (!exists(state_dir + with)) made.push_back(state_dir + with);
    }
    auto facts = jobs::read_registry(state_dir + "/jobs.db");
    for (const std::string& path : made) EW_CHECK(delete_tree(path));
    return facts;
}

// A backup of another installation must not take the place of this one by mistake. What cannot be
// read says nothing: it may be what is to be restored.
Result<void> check_registry(const std::string& new_directory, const std::string& state_dir) {
    const auto of_backup = jobs::read_registry(new_directory + "/jobs.db");
    if (!of_backup || !exists(state_dir + "/jobs.db")) return {};
    const auto of_state = read_registry_of(state_dir);
    if (!of_state || of_state->id.empty() || of_state->id == of_backup->id) return {};
    return fail(ErrorCode::kFailedPrecondition,
                state_dir + ": expected a backup of registry " + of_state->id +
                    ", which is here, found one of registry " + of_backup->id +
                    ", another installation; use a backup of this one. To replace it nonetheless, "
                    "move its databases and the directory plugins away first");
}

// Damage first: what the others say of it is for a database in use.
Result<void> check_databases(const std::string& directory) {
    for (const std::string_view database : kBackupDatabases)
        EW_CHECK(sqlite::check_integrity(directory + "/" + std::string(database)));
    EW_CHECK(jobs::check_sqlite_job_store(directory + "/jobs.db"));
    EW_CHECK(catalog::check_sqlite_catalog_store(directory + "/catalog.db"));
    EW_CHECK(auth::check_sqlite_auth_store(directory + "/auth.db"));
    EW_CHECK(plugins::History::check(directory + "/plugins.db"));
    for (const std::string_view database : kBackupDatabases) {
        for (const char* with : {"-wal", "-shm"})
            EW_CHECK(delete_tree(directory + "/" + std::string(database) + with));
    }
    return {};
}

Result<void> sync_tree(const std::string& path) {
    std::error_code error;
    for (const auto& entry : fs::recursive_directory_iterator(path, error)) {
        if (entry.is_directory()) EW_CHECK(sync_directory(entry.path()));
    }
    if (error) return fail(errno_error("list " + path, error.value()));
    return sync_directory(path);
}

std::string in_backup(std::string message, const std::string& part, const std::string& backup) {
    const std::string copies = part + "/new/";
    for (std::size_t at = message.find(copies); at != std::string::npos;
         at = message.find(copies, at + backup.size() + 1))
        message.replace(at, copies.size(), backup + "/");
    return message;
}

Result<void> fill(const OpenBackup& backup, const std::string& part, const std::string& state_dir) {
    EW_CHECK(make_directories(part + "/old", 0700));
    EW_CHECK(make_directories(part + "/new/" + std::string(kBackupPluginsDirectory), 0700));
    EW_CHECK(backup.copy_to(part + "/new"));
    EW_CHECK(check_registry(part + "/new", state_dir));
    auto checked = check_databases(part + "/new");
    // The copies go away again: what is wrong is wrong with the backup.
    if (!checked)
        return fail(checked.error().code, in_backup(checked.error().message, part, backup.path()));
    return sync_tree(part);
}

// The old one is away, for good, before the new one comes: a -wal of the one must not meet the
// other.
Result<void> replace(const std::string& state_dir, const std::string& name) {
    const std::string staged = state_dir + "/restore";
    if (!exists(staged + "/new/" + name)) return {};
    for (const char* with : kWithFiles) {
        const std::string old = name + with;
        if (exists(state_dir + "/" + old))
            EW_CHECK(rename_to(state_dir + "/" + old, staged + "/old/" + old));
    }
    EW_CHECK(sync_directory(staged + "/old"));
    EW_CHECK(sync_directory(state_dir));
    fault_point("restore.old_moved");
    EW_CHECK(rename_to(staged + "/new/" + name, state_dir + "/" + name));
    EW_CHECK(sync_directory(state_dir));
    fault_point("restore.new_moved");
    return {};
}

// Gives what was there before its name; empty: there was nothing.
Result<std::string> keep_old(const std::string& state_dir, const Clock& clock) {
    const std::string old = state_dir + "/restore/old";
    std::error_code ignored;
    if (!exists(old) || fs::is_empty(old, ignored)) return std::string();
    const std::string name =
        state_dir + "/before-restore-" + to_iso8601(clock.unix_us() / 1'000'000 * 1'000'000);
    std::string kept = name;
    for (int again = 2; exists(kept); ++again) kept = name + "-" + std::to_string(again);
    EW_CHECK(rename_to(old, kept));
    return kept;
}

Result<FinishedRestore> put_in_place(const std::string& state_dir, const Clock& clock) {
    const std::string staged = state_dir + "/restore";
    for (const char* place : kPlaces) EW_CHECK(replace(state_dir, place));
    EW_TRY(std::string before, keep_old(state_dir, clock));
    EW_CHECK(sync_directory(state_dir));
    fault_point("restore.old_kept");
    EW_CHECK(delete_tree(staged));
    EW_CHECK(sync_directory(state_dir));
    return FinishedRestore{true, std::move(before)};
}

bool is_named(const BackupManifest& manifest, const std::string& name) {
    return name == kBackupManifestFile ||
           std::ranges::find(manifest.files, name, &BackupFile::name) != manifest.files.end();
}

// "plugins" and "plugins/artifacts".
bool leads_to_plugins(std::string_view directory) {
    constexpr std::string_view kAll = kBackupPluginsDirectory;
    return kAll == directory || (kAll.starts_with(directory) && kAll[directory.size()] == '/');
}

// A backup is what its manifest says. Another file has been put there since, such as the log of a
// database that a program has opened and changed.
Result<void> check_nothing_else(const std::string& directory, const BackupManifest& manifest) {
    std::error_code error;
    for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
        const std::string name = it->path().string().substr(directory.size() + 1);
        const bool is_own = it->symlink_status().type() == fs::file_type::directory
                                ? leads_to_plugins(name)
                                : is_named(manifest, name);
        if (!is_own)
            return fail(ErrorCode::kFailedPrecondition,
                        directory + ": expected only what " + kBackupManifestFile +
                            " names, found " + printable(name) +
                            "; move it away if the backup is otherwise as it was written");
    }
    if (error) return fail(errno_error("list " + directory, error.value()));
    return {};
}

}  // namespace

Result<OpenBackup> OpenBackup::open(const std::string& path, uid_t owner) {
    std::error_code error;
    const std::string real = fs::canonical(path, error);
    if (error) return fail(errno_error("open " + path, error.value()));
    EW_CHECK(open_private(real, O_DIRECTORY, owner));
    OpenBackup out;
    out.path_ = real;
    EW_TRY(out.manifest_, read_manifest(real, owner));
    for (const BackupFile& file : out.manifest_.files) {
        fs::path directory = real;
        for (const fs::path& part : fs::path(file.name).parent_path()) {
            directory /= part;
            EW_CHECK(open_private(directory, O_DIRECTORY, owner));
        }
        EW_TRY(UniqueFd fd, open_file(real, file, owner));
        out.files_.push_back(std::move(fd));
    }
    EW_CHECK(check_nothing_else(real, out.manifest_));
    return out;
}

Result<void> OpenBackup::copy_to(const std::string& directory) const {
    for (std::size_t index = 0; index < files_.size(); ++index) {
        const BackupFile& file = manifest_.files[index];
        const std::string source = path_ + "/" + file.name;
        const std::string target = directory + "/" + file.name;
        const UniqueFd to(
            ::open(target.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
        if (!to) return fail(errno_error("create " + target, errno));
        EW_TRY(const std::string sha256,
               copy_hashed(files_[index].get(), to.get(), source, target));
        if (sha256 != file.sha256)
            return fail(ErrorCode::kDataLoss, source + ": expected SHA-256 " + file.sha256 +
                                                  ", found " + sha256 + "; use another backup");
        if (::fsync(to.get()) != 0) return fail(errno_error("sync " + target, errno));
    }
    return {};
}

std::vector<std::string> state_in_use(const std::string& state_dir) {
    std::vector<std::string> out;
    for (const char* place : kPlaces) {
        const std::string path = state_dir + "/" + place;
        std::error_code error;
        const bool is_empty_directory = fs::is_directory(path, error) && fs::is_empty(path, error);
        if (exists(path) && !is_empty_directory) out.emplace_back(place);
    }
    return out;
}

Result<void> stage_restore(const OpenBackup& backup, const std::string& state_dir) {
    const std::string part = state_dir + "/restore.part";
    EW_CHECK(delete_tree(part));
    if (auto filled = fill(backup, part, state_dir); !filled) {
        (void)delete_tree(part);
        return filled;
    }
    fault_point("restore.copied");
    EW_CHECK(rename_to(part, state_dir + "/restore"));
    EW_CHECK(sync_directory(state_dir));
    fault_point("restore.staged");
    return {};
}

Result<FinishedRestore> finish_restore(const std::string& state_dir, const Clock& clock) {
    EW_CHECK(delete_tree(state_dir + "/restore.part"));
    const std::string staged = state_dir + "/restore";
    if (!exists(staged)) return FinishedRestore{};
    auto done = put_in_place(state_dir, clock);
    if (done) return done;
    return fail(done.error().code,
                done.error().message +
                    "; the backup was checked and is half in place: the next start of the daemon, "
                    "or exportctl restore, finishes it once this is mended. What was there before "
                    "is kept: until then in " +
                    staged + "/old, then in " + state_dir +
                    "/before-restore-TIME; to go back, finish it, then move these files to " +
                    state_dir + " while no daemon runs");
}

}  // namespace export_worker::app
