// A request of wire protocol version 1 (docs/wire_protocol.md).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "base/crypto/sha256.hpp"
#include "protocol/message/wire_error.hpp"

namespace export_worker::message {

// What the caller presented, verbatim; empty text means absent.
struct Credentials {
    std::string_view authorization;
    std::string_view organization_id;
    std::string_view session;
    // Whom the request comes from, as the shim sees it: an IP address. Proves nothing; limits count
    // by it.
    std::string_view client_address = {};
    // Of the bearer token or session; not on the wire. A receiver that computes it leaves it here,
    // so that it is computed once a request.
    std::optional<crypto::Sha256Digest> token_sha256 = {};
};

// Views into the message it was decoded from; valid as long as those bytes are.
struct Request {
    std::string_view id;  // Empty when the caller sent none.
    std::string_view method;
    std::uint32_t deadline_ms = 0;  // Time left when the message was written.
    Credentials credentials;
    std::string_view trace;
    std::string_view params;  // One msgpack map; never empty after decoding.
};

struct DecodeFailure {
    WireError error;
    std::string_view id;  // The request's id, when it could be read: the reply carries it.
};

// Accepts exactly what validate.hpp accepts, then checks version, types and sizes of the known
// keys. Unknown keys are ignored. [any-thread]
[[nodiscard]] tl::expected<Request, DecodeFailure> decode_request(std::string_view bytes);

// The message for `request`. Empty credentials, trace and id are left out. `params` empty: an empty
// map.
[[nodiscard]] std::string encode_request(const Request& request);
// Params whose values are all text.
[[nodiscard]] std::string encode_params(const std::map<std::string, std::string>& params);

}  // namespace export_worker::message
