#include "base/result.hpp"

namespace export_worker {

// Not inline: in callers that build several, GCC 12 warns of bounds it has mistaken.
tl::unexpected<Error> invalid_argument(std::string message) {
    return fail(ErrorCode::kInvalidArgument, std::move(message));
}

}  // namespace export_worker
