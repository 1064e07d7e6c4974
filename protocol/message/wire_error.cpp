#include "protocol/message/wire_error.hpp"

#include <array>

namespace export_worker::message {
namespace {

struct Row {
    WireCode code;
    std::string_view name;
    int http_status;
    bool retryable;
    Executed executed;
};

constexpr std::array<Row, kWireCodeLast> kRows{{
    {WireCode::kBadRequest, "bad_request", 400, false, Executed::kNo},
    {WireCode::kUnauthenticated, "unauthenticated", 401, false, Executed::kNo},
    {WireCode::kPermissionDenied, "permission_denied", 403, false, Executed::kNo},
    {WireCode::kNotFound, "not_found", 404, false, Executed::kNo},
    {WireCode::kUnknownMethod, "unknown_method", 404, false, Executed::kNo},
    {WireCode::kConflict, "conflict", 409, false, Executed::kNo},
    {WireCode::kGone, "gone", 410, false, Executed::kNo},
    {WireCode::kTooLarge, "too_large", 413, false, Executed::kNo},
    {WireCode::kInvalidArgument, "invalid_argument", 422, false, Executed::kNo},
    {WireCode::kRateLimited, "rate_limited", 429, true, Executed::kNo},
    {WireCode::kInternal, "internal", 500, false, Executed::kUnknown},
    {WireCode::kPluginFault, "plugin_fault", 500, false, Executed::kUnknown},
    {WireCode::kPluginUnavailable, "plugin_unavailable", 503, true, Executed::kNo},
    {WireCode::kOverloaded, "overloaded", 503, true, Executed::kNo},
    {WireCode::kDraining, "draining", 503, true, Executed::kNo},
    {WireCode::kExpired, "expired", 504, true, Executed::kNo},
    {WireCode::kDeadlineExceeded, "deadline_exceeded", 504, false, Executed::kUnknown},
    {WireCode::kUnavailable, "unavailable", 503, false, Executed::kUnknown},
}};

constexpr bool rows_are_in_order() {
    for (std::size_t index = 0; index < kRows.size(); ++index) {
        if (static_cast<std::size_t>(kRows[index].code) != index + 1) return false;
    }
    return true;
}
static_assert(rows_are_in_order(), "row() indexes by code");

const Row& row(WireCode code) {
    const auto number = static_cast<std::uint32_t>(code);
    return kRows[number >= 1 && number <= kWireCodeLast
                     ? number - 1
                     : static_cast<std::uint32_t>(WireCode::kInternal) - 1];
}

}  // namespace

std::string_view to_string(WireCode code) {
    return row(code).name;
}

std::string_view to_string(Executed executed) {
    switch (executed) {
        case Executed::kNo: return "no";
        case Executed::kYes: return "yes";
        case Executed::kUnknown: return "unknown";
    }
    return "unknown";
}

std::optional<WireCode> parse_wire_code(std::string_view text) {
    for (const Row& each : kRows) {
        if (each.name == text) return each.code;
    }
    return std::nullopt;
}

int http_status(WireCode code) {
    return row(code).http_status;
}

std::string_view field_of(std::string_view message) {
    constexpr std::string_view kNameBytes = "abcdefghijklmnopqrstuvwxyz0123456789_.[]-";
    const std::size_t end = message.find_first_not_of(kNameBytes);
    const bool named = end != std::string_view::npos && end > 0 && message.substr(end, 2) == ": ";
    return named ? message.substr(0, end) : std::string_view();
}

WireError make_error(WireCode code, std::string message) {
    const Row& usual = row(code);
    std::string field;
    if (code == WireCode::kInvalidArgument) field = field_of(message);
    return WireError{code, std::move(message), usual.retryable, usual.executed, std::nullopt,
                     {},   std::move(field)};
}

WireError from_error(const Error& error) {
    switch (error.code) {
        case ErrorCode::kInvalidArgument:
            return make_error(WireCode::kInvalidArgument, error.message);
        case ErrorCode::kNotFound: return make_error(WireCode::kNotFound, error.message);
        case ErrorCode::kConflict: return make_error(WireCode::kConflict, error.message);
        case ErrorCode::kUnauthenticated:
            return make_error(WireCode::kUnauthenticated, error.message);
        case ErrorCode::kPermissionDenied:
            return make_error(WireCode::kPermissionDenied, error.message);
        case ErrorCode::kDeadlineExceeded:
            return make_error(WireCode::kDeadlineExceeded, error.message);
        case ErrorCode::kQuotaExceeded:
        case ErrorCode::kRateLimited: {
            WireError out = make_error(WireCode::kRateLimited, error.message);
            out.retry_after_ms = 1000;
            return out;
        }
        case ErrorCode::kResourceExhausted:
        case ErrorCode::kUnavailable: {
            const bool is_full = error.code == ErrorCode::kResourceExhausted;
            WireError out = make_error(
                WireCode::kOverloaded,
                is_full ? "the service has no room for this, such as on a full disk; try again "
                          "later; its operator finds the reason in its log and alarms"
                        : "the service cannot do this right now; try again");
            out.retry_after_ms = 1000;
            return out;
        }
        case ErrorCode::kUnknownOutcome:
            return make_error(WireCode::kUnavailable,
                              "whether it was done is unknown; ask for its state, or send it again "
                              "with the same idempotency_key");
        case ErrorCode::kDataLoss:
        case ErrorCode::kFailedPrecondition:
        case ErrorCode::kCancelled:
        case ErrorCode::kInternal: break;
    }
    return make_error(WireCode::kInternal, "internal error");
}

}  // namespace export_worker::message
