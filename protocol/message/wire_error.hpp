// Errors as callers see them: a stable code, whether to try again, and whether the work was done.
//
// Codes are append-only; docs/wire_protocol.md lists them with their HTTP status.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace export_worker::message {

// Order and numbers are part of the plugin ABI too (protocol/plugin_abi/types.h, EW_ERROR_...).
enum class WireCode : std::uint32_t {
    kBadRequest = 1,
    kUnauthenticated = 2,
    kPermissionDenied = 3,
    kNotFound = 4,
    kUnknownMethod = 5,
    kConflict = 6,
    kGone = 7,
    kTooLarge = 8,
    kInvalidArgument = 9,
    kRateLimited = 10,
    kInternal = 11,
    kPluginFault = 12,
    kPluginUnavailable = 13,
    kOverloaded = 14,
    kDraining = 15,
    kExpired = 16,
    kDeadlineExceeded = 17,
    kUnavailable = 18,
};
inline constexpr std::uint32_t kWireCodeLast = 18;

// Did the method run? What makes a retry safe.
enum class Executed : std::uint8_t { kNo, kYes, kUnknown };

struct WireError {
    WireCode code = WireCode::kInternal;
    std::string message;
    bool retryable = false;
    Executed executed = Executed::kNo;
    std::optional<std::uint32_t> retry_after_ms;
    std::string details;  // One msgpack object, or empty for none.
    std::string field;    // Which parameter an invalid_argument is about; empty: none alone.
};

[[nodiscard]] std::string_view to_string(WireCode code);
[[nodiscard]] std::string_view to_string(Executed executed);
// nullopt for a code this version does not know.
[[nodiscard]] std::optional<WireCode> parse_wire_code(std::string_view text);
[[nodiscard]] int http_status(WireCode code);

// What the text "NAME: ..." is about, the form of every invalid_argument that is about one
// parameter; empty for other texts.
[[nodiscard]] std::string_view field_of(std::string_view message);
// An error with the usual `retryable` and `executed` of its code, and the field that the text
// names.
[[nodiscard]] WireError make_error(WireCode code, std::string message);
// The same for an Error of our own; kInternal, kDataLoss and kFailedPrecondition keep their text to
// themselves
// ("internal error"), because it may name paths.
[[nodiscard]] WireError from_error(const Error& error);

}  // namespace export_worker::message
