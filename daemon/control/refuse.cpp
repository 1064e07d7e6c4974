#include "daemon/control/refuse.hpp"

#include "base/json.hpp"
#include "daemon/auth/api_key.hpp"
#include "daemon/auth/limits.hpp"
#include "daemon/auth/member_store.hpp"

namespace export_worker::control {

tl::unexpected<message::WireError> refuse(const Error& error) {
    message::WireError out = message::from_error(error);
    // Some name what they found, which may be a key or a token that was pasted.
    const bool secret =
        auth::has_api_key(error.message) || auth::MemberStore::has_own_token(error.message);
    out.message = secret ? "expected no secret, found what looks like a key or a token; it is not "
                           "shown here"
                         : error.message;
    return tl::unexpected(std::move(out));
}

tl::unexpected<message::WireError> bad(std::string what) {
    return refuse(Error{ErrorCode::kInvalidArgument, std::move(what)});
}

std::string text_of(const nlohmann::json& params, const char* name) {
    const auto found = params.find(name);
    return found != params.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<std::optional<std::chrono::seconds>> seconds_of(const nlohmann::json& params,
                                                       const char* name) {
    const auto found = params.find(name);
    if (found == params.end()) return std::optional<std::chrono::seconds>();
    // Unsigned numbers above INT64_MAX would come out negative.
    const bool fits = found->is_number_integer() &&
                      (!found->is_number_unsigned() || found->get<std::uint64_t>() <= INT64_MAX);
    if (!fits)
        return fail(ErrorCode::kInvalidArgument,
                    std::string(name) + ": expected a number of seconds");
    return std::optional(std::chrono::seconds(found->get<std::int64_t>()));
}

Result<std::size_t> rows_max_of(const nlohmann::json& params) {
    const auto found = params.find("limit");
    if (found == params.end()) return limits::kPageRowsMax;
    if (!found->is_number_unsigned() || *found < 1 || *found > limits::kPageRowsMax)
        return fail(ErrorCode::kInvalidArgument,
                    "limit: expected 1 to " + std::to_string(limits::kPageRowsMax));
    return found->get<std::size_t>();
}

bool flag_of(const nlohmann::json& params, const char* name) {
    const auto found = params.find(name);
    return found != params.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace export_worker::control
