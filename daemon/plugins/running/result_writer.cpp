// ResultWriter of plugin_call.hpp: what a plugin says, and which rules it breaks.
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/plugins/running/abi_checks.hpp"
#include "daemon/plugins/running/limits.hpp"
#include "daemon/plugins/running/plugin_call.hpp"
#include "protocol/message/validate.hpp"

namespace export_worker::plugins {
namespace {

constexpr const char* kAppend = "ew_writer append()";
constexpr const char* kSetError = "ew_writer set_error()";

ew_status misuse(ResultWriter& writer, const char* what) {
    if (writer.misuse == nullptr) writer.misuse = what;
    return EW_MISUSE;
}

ew_status writer_append(ew_writer* base, const void* data, std::uint64_t size) noexcept {
    if (!is_writer(kAppend, base)) return EW_MISUSE;
    auto& writer = *static_cast<ResultWriter*>(base);
    // Not `bytes_max`, which is in the plugin's reach.
    if (size > limits::kReplyBytesMax || writer.result.size() > limits::kReplyBytesMax - size) {
        writer.misuse = "a result over the size limit";
        return EW_FAILED;
    }
    if (!is_text(kAppend, "data", data, size)) return misuse(writer, "append() without data");
    if (size > 0) writer.result.append(static_cast<const char*>(data), size);
    return EW_OK;
}

// The daemon says these about plugins and itself; clients act on them.
bool is_of_the_host(std::uint32_t code) {
    return code == EW_ERROR_PLUGIN_FAULT || code == EW_ERROR_DRAINING;
}

const char* wrong_error(std::uint32_t code, ew_string message, std::uint32_t executed,
                        ew_string details) {
    if (code == 0 || code > message::kWireCodeLast || executed > EW_EXECUTED_UNKNOWN)
        return "set_error with an unknown code";
    if (is_of_the_host(code))
        return "set_error with plugin_fault or draining, which only the host says";
    if (details.size > limits::kReplyBytesMax) return "details over the size limit";
    if (!is_text(kSetError, "message", message) || !is_text(kSetError, "details", details))
        return "set_error without its text";
    if (details.size > 0 && !message::validate_object(view_of(details)))
        return "set_error with details that are not msgpack";
    return nullptr;
}

ew_status writer_set_error(ew_writer* base, std::uint32_t code, ew_string message,
                           std::uint32_t executed, ew_string details) noexcept {
    if (!is_writer(kSetError, base)) return EW_MISUSE;
    auto& writer = *static_cast<ResultWriter*>(base);
    if (writer.has_error) return misuse(writer, "set_error called twice");
    writer.has_error = true;
    if (const char* const wrong = wrong_error(code, message, executed, details)) {
        writer.error = message::make_error(message::WireCode::kInternal, wrong);
        return misuse(writer, wrong);
    }
    writer.error = message::make_error(static_cast<message::WireCode>(code),
                                       printable(view_of(message), limits::kPluginErrorBytesMax));
    writer.error.executed = static_cast<message::Executed>(executed);
    // Nothing was done, so the usual caution of this code does not apply.
    if (code == EW_ERROR_UNAVAILABLE && executed == EW_EXECUTED_NO) {
        writer.error.retryable = true;
        writer.error.retry_after_ms = limits::kPluginUnavailableRetryMs;
    }
    writer.error.details.assign(view_of(details));
    return EW_OK;
}

}  // namespace

ResultWriter::ResultWriter()
    : ew_writer{sizeof(ew_writer), 0, limits::kReplyBytesMax, writer_append, writer_set_error} {}

void ResultWriter::reset() {
    result.clear();
    error.details.clear();
    has_error = false;
    misuse = nullptr;
}

}  // namespace export_worker::plugins
