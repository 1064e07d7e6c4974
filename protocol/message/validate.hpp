// Strict acceptance of msgpack from strangers: one object, nothing after it, within every limit.
//
// Refused: truncation, trailing bytes, depth over kMessageDepthMax, more than kMessageNodesMax
// nodes, map keys that are not strings or longer than kMessageKeyBytesMax, a key twice in one map,
// text that is not UTF-8, and the types bin and ext, which protocol version 1 does not use.
#pragma once

#include <string_view>

#include "base/result.hpp"

namespace export_worker::message {

// Errors: kInvalidArgument, with what was expected and found.
[[nodiscard]] Result<void> validate_object(std::string_view bytes);

}  // namespace export_worker::message
