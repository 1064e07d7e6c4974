// curve: works without a daemon.

#include <fcntl.h>

#include <cerrno>

#include "base/crypto/compare.hpp"
#include "base/io.hpp"
#include "base/unique_fd.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/output.hpp"
#include "protocol/transport/curve.hpp"

namespace export_worker::exportctl {

int run_curve(const Context&, const options::Arguments& arguments) {
    const std::string& path = arguments.words[0];
    // Never over a file that is there: it may be a key in use.
    const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd) return complain(kExitRefused, errno_error("create " + path, errno).message);
    transport::CurveKeys keys = transport::make_curve_keys();
    keys.secret_key += '\n';
    const auto written = write_all(fd.get(), keys.secret_key, path);
    crypto::wipe(keys.secret_key);
    if (!written) return complain(kExitRefused, written.error().message);
    print_line(keys.public_key);
    return 0;
}

}  // namespace export_worker::exportctl
