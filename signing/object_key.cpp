#include "signing/object_key.hpp"

#include <algorithm>
#include <string>

#include "signing/limits.hpp"

namespace export_worker::signing {

bool has_dot_segment(std::string_view path) {
    for (std::size_t begin = 0; begin <= path.size();) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        const std::string_view segment = path.substr(begin, end - begin);
        if (segment == "." || segment == "..") return true;
        begin = end + 1;
    }
    return false;
}

Result<void> check_object_key(std::string_view key) {
    if (key.empty())
        return fail(ErrorCode::kInvalidArgument, "key: expected at least one byte, found none");
    if (key.size() > limits::kFileKeyBytesMax) {
        return fail(ErrorCode::kInvalidArgument, "key: expected at most " +
                                                     std::to_string(limits::kFileKeyBytesMax) +
                                                     " bytes, found " + std::to_string(key.size()));
    }
    if (has_dot_segment(key)) {
        return fail(ErrorCode::kInvalidArgument,
                    "key: found a '.' or '..' segment; browsers and proxies take it out of the "
                    "path, so no link to this object can work: store it under another key");
    }
    return {};
}

}  // namespace export_worker::signing
