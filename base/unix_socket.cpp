#include "base/unix_socket.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/io.hpp"
#include "base/limits.hpp"

namespace export_worker {
namespace {

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    return address;
}

// A process that the listener forked keeps its socket open after its end, and answers nothing. The
// kernel tells who called listen().
bool has_listener(int connected) {
    ucred listener{};
    socklen_t bytes = sizeof listener;
    if (::getsockopt(connected, SOL_SOCKET, SO_PEERCRED, &listener, &bytes) != 0) return true;
    // 0: in another PID namespace.
    return listener.pid == 0 || ::kill(listener.pid, 0) == 0 || errno != ESRCH;
}

// A socket file nobody listens on is left over from a crash.
Result<void> remove_stale_socket(const std::string& path) {
    EW_CHECK(check_socket_path(path));
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        return fail(errno_error("remove stale socket " + path, errno));
    return {};
}

}  // namespace

bool is_socket_in_use(const std::string& path) {
    if (path.size() >= sizeof(sockaddr_un::sun_path)) return false;
    const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path);
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
               0 &&
           has_listener(probe.get());
}

Result<void> check_socket_path(const std::string& path) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0)
        return errno == ENOENT ? Result<void>{} : fail(errno_error("stat " + path, errno));
    if (!S_ISSOCK(info.st_mode))
        return fail(ErrorCode::kFailedPrecondition,
                    "listen on " + path +
                        ": the path exists and is no socket; remove it, or name another path");
    if (is_socket_in_use(path))
        return fail(
            ErrorCode::kUnavailable,
            "listen on " + path + ": another process is already listening there; stop it first");
    return {};
}

Result<UniqueFd> listen_on_unix(const std::string& path, unsigned socket_mode) {
    if (path.size() >= sizeof(sockaddr_un::sun_path))
        return fail(ErrorCode::kInvalidArgument,
                    "listen on " + path + ": expected a path of at most " +
                        std::to_string(sizeof(sockaddr_un::sun_path) - 1) + " bytes");
    EW_CHECK(make_directories(std::filesystem::path(path).parent_path().string(), 0750));
    EW_CHECK(remove_stale_socket(path));
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail(errno_error("create a socket", errno));
    // The mode of a socket file is the socket's own mode at bind: no moment in between with another
    // one.
    if (::fchmod(fd.get(), static_cast<mode_t>(socket_mode)) != 0)
        return fail(errno_error("chmod " + path, errno));
    const sockaddr_un address = address_of(path);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return fail(errno_error("bind " + path, errno));
    }
    // bind() applies the umask on top; set what was asked for.
    if (::chmod(path.c_str(), static_cast<mode_t>(socket_mode)) != 0)
        return fail(errno_error("chmod " + path, errno));
    if (::listen(fd.get(), limits::kSocketBacklog) != 0)
        return fail(errno_error("listen on " + path, errno));
    return fd;
}

}  // namespace export_worker
