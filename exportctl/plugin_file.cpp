#include "exportctl/plugin_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/base64.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "base/io.hpp"
#include "base/json.hpp"
#include "base/limits.hpp"
#include "base/unique_fd.hpp"
#include "exportctl/output.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

Result<void> check_owner(const struct stat& info, const std::string& path, uid_t daemon_uid) {
    if (info.st_uid != 0 && info.st_uid != ::geteuid() && info.st_uid != daemon_uid)
        return fail(ErrorCode::kFailedPrecondition,
                    path + ": expected one of root or the daemon's user, found one of uid " +
                        std::to_string(info.st_uid) +
                        "; install it as root: install -o root -m 0755");
    if (is_writable_by_others(info))
        return fail(ErrorCode::kFailedPrecondition,
                    path +
                        ": expected one that only its owner may write, found one that is "
                        "writable by group or others; run chmod go-w " +
                        path);
    return {};
}

// As the operator wrote it and where it leads: a link among them is as safe as the directory it is
// in.
Result<void> check_directories(const fs::path& directory, uid_t daemon_uid) {
    std::error_code error;
    const fs::path resolved = fs::canonical(directory, error);
    if (error) return fail(errno_error("open " + directory.string(), error.value()));
    for (const fs::path& start : {directory, resolved}) {
        for (fs::path at = start;; at = at.parent_path()) {
            struct stat info {};
            if (::stat(at.c_str(), &info) != 0)
                return fail(errno_error("stat " + at.string(), errno));
            EW_CHECK(check_owner(info, at, daemon_uid));
            if (at == at.root_path()) break;
        }
    }
    return {};
}

Result<std::string> read_all(int fd, const std::string& path, std::size_t bytes_max) {
    std::string out;
    std::string piece(limits::kPluginPieceBytes, '\0');
    for (;;) {
        const ssize_t got = ::read(fd, piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("read " + path, errno));
        if (got == 0) return out;
        out.append(piece, 0, static_cast<std::size_t>(got));
        if (out.size() > bytes_max)
            return fail(ErrorCode::kInvalidArgument,
                        path + ": expected at most " + std::to_string(bytes_max) +
                            " bytes, found more; strip the debug information into a file of its "
                            "own");
    }
}

using Answer = tl::expected<std::string, message::WireError>;

// The id of the file at the daemon.
Answer send_bytes(ControlClient& client, const std::string& id, const std::string& bytes) {
    for (std::size_t offset = 0; offset < bytes.size(); offset += limits::kPluginPieceBytes) {
        const std::string_view piece =
            std::string_view(bytes).substr(offset, limits::kPluginPieceBytes);
        const auto answer =
            client.call("control.plugin_file_append",
                        {{"id", id}, {"offset", offset}, {"base64", to_base64(piece)}});
        if (!answer) return tl::unexpected(answer.error());
    }
    return id;
}

Answer begin_and_send(ControlClient& client, const std::string& bytes) {
    const auto begun =
        client.call("control.plugin_file_begin",
                    {{"bytes", bytes.size()}, {"sha256", to_hex(crypto::sha256(bytes))}});
    if (!begun) return tl::unexpected(begun.error());
    return send_bytes(client, (*begun)["id"].get<std::string>(), bytes);
}

}  // namespace

Result<std::string> read_code(const std::string& path, std::size_t bytes_max, uid_t daemon_uid) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd && errno == ELOOP)
        return fail(ErrorCode::kFailedPrecondition,
                    path +
                        ": expected a regular file, found a symbolic link; name the file "
                        "itself");
    struct stat info {};
    if (!fd || ::fstat(fd.get(), &info) != 0) return fail(errno_error("open " + path, errno));
    if (!S_ISREG(info.st_mode))
        return fail(ErrorCode::kFailedPrecondition,
                    path + ": expected a regular file, found something else; name the .so file");
    EW_CHECK(check_owner(info, path, daemon_uid));
    EW_CHECK(check_directories(fs::path(path).parent_path(), daemon_uid));
    return read_all(fd.get(), path, bytes_max);
}

tl::expected<void, int> send_plugin_file(ControlClient& client, const std::string& path,
                                         json& params) {
    const auto refused = [](const Error& error) {
        return tl::unexpected(complain(kExitRefused, error.message));
    };
    const auto owner = client.call("control.plugin_file_owner", json::object());
    if (!owner) return tl::unexpected(complain(owner.error()));
    const auto daemon_uid = static_cast<uid_t>((*owner)["daemon_uid"].get<std::int64_t>());
    const auto code = read_code(path, limits::kPluginFileBytesMax, daemon_uid);
    if (!code) return refused(code.error());
    const std::string golden_path = fs::path(path).replace_extension(".golden.jsonl");
    const auto golden = read_code(golden_path, limits::kGoldenFileBytesMax, daemon_uid);
    if (!golden && golden.error().code != ErrorCode::kNotFound) return refused(golden.error());
    params["file"] = path;
    const auto sent = begin_and_send(client, *code);
    if (!sent) return tl::unexpected(complain(sent.error()));
    params["sent"] = *sent;
    if (!golden) return {};
    const auto sent_golden = begin_and_send(client, *golden);
    if (!sent_golden) return tl::unexpected(complain(sent_golden.error()));
    params["sent_golden"] = *sent_golden;
    return {};
}

}  // namespace export_worker::exportctl
