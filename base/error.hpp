// Error: what went wrong outside our code, and what the caller should do about it.
//
// The code is chosen by the next step, not by the cause; the text is "tried: why" and safe to show
// an operator (no secrets, no signatures). Codes are append-only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace export_worker {

enum class ErrorCode : std::uint8_t {
    kInvalidArgument,     // Fix the input.
    kNotFound,            // Ask for something else.
    kConflict,            // The state has moved on: look again, then decide.
    kUnauthenticated,     // Present valid credentials.
    kPermissionDenied,    // Use credentials that may do this.
    kResourceExhausted,   // Free disk or quota, then try again.
    kUnavailable,         // Try again a little later.
    kDeadlineExceeded,    // Time ran out; the work may have happened.
    kDataLoss,            // Repair: what is on disk cannot be trusted.
    kFailedPrecondition,  // Repair the set-up (permissions, versions, a second daemon).
    kCancelled,           // Cancellation was requested.
    kInternal,            // Our bug or an unexpected error.
    kQuotaExceeded,       // Use less of what the quota bounds, then try again.
    kRateLimited,         // Slow down, then try again.
    kUnknownOutcome,      // It may have happened: ask, or do it again with the same ids.
};

inline constexpr std::size_t kErrorCodes = static_cast<std::size_t>(ErrorCode::kUnknownOutcome) + 1;

struct Error {
    ErrorCode code;
    std::string message;
};

// "not_found", for logs and --json.
[[nodiscard]] std::string_view to_string(ErrorCode code);

// "tried: why (errno text)". Maps errno to the code that fits: ENOSPC, EDQUOT and EMFILE to
// kResourceExhausted, ENOENT to kNotFound, EACCES, EPERM and EROFS to kFailedPrecondition, the
// rest to kInternal: EIO, too, which says nothing about what is on the disk.
[[nodiscard]] Error errno_error(std::string_view tried, int errno_value);

}  // namespace export_worker
