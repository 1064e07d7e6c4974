// A reply of wire protocol version 1 (docs/wire_protocol.md).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "protocol/message/wire_error.hpp"

namespace export_worker::message {

// Which code produced an answer.
struct ServedBy {
    std::string_view plugin;
    std::string_view version;
    std::uint64_t generation = 0;
    std::string_view build_id;
};

// Both replace the content of `out`, keeping its capacity: a reused buffer does not allocate.
// `result` is one msgpack object. `served_by` may be null. [any-thread]
void encode_result(std::string& out, std::string_view id, std::string_view result,
                   const ServedBy* served_by);
void encode_error(std::string& out, std::string_view id, const WireError& error,
                  const ServedBy* served_by);

// Views into the decoded bytes, but for the error, which is a copy.
struct Reply {
    std::string_view id;
    bool ok = false;
    std::string_view result;            // One msgpack object when ok.
    WireError error;                    // When not ok.
    std::optional<ServedBy> served_by;  // When a plugin answered.
};

// Errors: kInvalidArgument when the bytes are no reply of version 1.
[[nodiscard]] Result<Reply> decode_reply(std::string_view bytes);
// Only the id, without looking at the rest; empty when there is none. For matching replies to
// calls.
[[nodiscard]] std::string_view reply_id(std::string_view bytes);

}  // namespace export_worker::message
