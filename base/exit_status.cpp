#include "base/exit_status.hpp"

namespace export_worker {

int start_exit_status(ErrorCode code) {
    switch (code) {
        case ErrorCode::kInvalidArgument:
        case ErrorCode::kNotFound:
        case ErrorCode::kUnauthenticated:
        case ErrorCode::kPermissionDenied:
        case ErrorCode::kDataLoss:
        case ErrorCode::kFailedPrecondition: return kExitConfig;
        case ErrorCode::kConflict:
        case ErrorCode::kResourceExhausted:
        case ErrorCode::kUnavailable:
        case ErrorCode::kDeadlineExceeded:
        case ErrorCode::kCancelled:
        case ErrorCode::kInternal:
        case ErrorCode::kQuotaExceeded:
        case ErrorCode::kRateLimited:
        case ErrorCode::kUnknownOutcome: return kExitTryAgain;
    }
    return kExitTryAgain;
}

}  // namespace export_worker
