#include "daemon/control/params.hpp"

#include "base/in_memory_error.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/redact.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::control {

tl::unexpected<message::WireError> wire_error(const Error& error) {
    message::WireError out = message::from_error(error);
    if (is_in_memory_error(error)) out.executed = message::Executed::kYes;
    // Some name what they found, which may be a key or a token that was pasted.
    out.message =
        holds_credential(error.message)
            ? "expected no secret, found what looks like a key, a token or a signed URL; it is not "
              "shown here"
            : error.message;
    return tl::unexpected(std::move(out));
}

std::string text_of(const nlohmann::json& params, const char* name) {
    return text_in(params, name).value_or("");
}

Result<std::optional<std::chrono::seconds>> seconds_of(const nlohmann::json& params,
                                                       const char* name) {
    EW_TRY(const std::optional<std::int64_t> count,
           JsonFields(params, "", JsonFields::Null::kRefused).optional_integer(name));
    return count ? std::optional(std::chrono::seconds(*count)) : std::nullopt;
}

Result<std::size_t> rows_max_of(const nlohmann::json& params) {
    EW_TRY(const std::optional<std::int64_t> rows,
           JsonFields(params, "", JsonFields::Null::kRefused)
               .optional_integer("limit", {1, limits::kPageRowsMax}));
    return rows ? static_cast<std::size_t>(*rows) : limits::kPageRowsMax;
}

bool flag_of(const nlohmann::json& params, const char* name) {
    const auto found = params.find(name);
    return found != params.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace export_worker::control
