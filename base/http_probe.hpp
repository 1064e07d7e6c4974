// One GET, to see who answers at an address. Not for content: the body is as it was sent.
#pragma once

#include <chrono>
#include <string>

#include "base/result.hpp"

namespace export_worker {

struct HttpAnswer {
    int status = 0;
    std::string body;  // At most kHttpProbeBytesMax with the head; chunks keep their sizes.
};

// `where`: "127.0.0.1:80", "[::1]:80" or "unix:/run/x.sock". Errors:
// kInvalidArgument for another one; kUnavailable, nothing listens there or what it says is no HTTP;
// kFailedPrecondition, this user may not connect; kDeadlineExceeded after `timeout`. [any-thread]
[[nodiscard]] Result<HttpAnswer> http_get(const std::string& where, const std::string& path,
                                          std::chrono::milliseconds timeout);

// What answers at `where`.
enum class Listener {
    kExportHttpd,
    kSilent,  // It takes connections and does not answer within `timeout`.
    kOther,   // Another program, or none.
};
[[nodiscard]] Listener who_listens(const std::string& where, std::chrono::milliseconds timeout);

}  // namespace export_worker
