#include "base/error.hpp"

#include <cerrno>
#include <system_error>

namespace export_worker {

std::string_view to_string(ErrorCode code) {
    switch (code) {
        case ErrorCode::kInvalidArgument: return "invalid_argument";
        case ErrorCode::kNotFound: return "not_found";
        case ErrorCode::kConflict: return "conflict";
        case ErrorCode::kUnauthenticated: return "unauthenticated";
        case ErrorCode::kPermissionDenied: return "permission_denied";
        case ErrorCode::kResourceExhausted: return "resource_exhausted";
        case ErrorCode::kUnavailable: return "unavailable";
        case ErrorCode::kDeadlineExceeded: return "deadline_exceeded";
        case ErrorCode::kDataLoss: return "data_loss";
        case ErrorCode::kFailedPrecondition: return "failed_precondition";
        case ErrorCode::kCancelled: return "cancelled";
        case ErrorCode::kInternal: return "internal";
        case ErrorCode::kQuotaExceeded: return "quota_exceeded";
        case ErrorCode::kRateLimited: return "rate_limited";
        case ErrorCode::kUnknownOutcome: return "unknown_outcome";
    }
    return "internal";
}

namespace {

ErrorCode code_of(int errno_value) {
    switch (errno_value) {
        case ENOSPC:
        case EDQUOT:
        case EMFILE:
        case ENFILE:
        case ENOMEM:
        case EFBIG: return ErrorCode::kResourceExhausted;
        case ENOENT:
        case ENOTDIR: return ErrorCode::kNotFound;
        case EACCES:
        case EPERM:
        case EROFS:
        case EISDIR:
        case ELOOP: return ErrorCode::kFailedPrecondition;
        default: return ErrorCode::kInternal;
    }
}

}  // namespace

Error errno_error(std::string_view tried, int errno_value) {
    std::string message(tried);
    message += ": ";
    message += std::generic_category().message(errno_value);
    return Error{code_of(errno_value), std::move(message)};
}

}  // namespace export_worker
