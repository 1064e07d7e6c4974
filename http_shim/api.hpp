// Translation: an HTTP request to a message, a reply to an HTTP response. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <tl/expected.hpp>

#include "base/result.hpp"
#include "http_shim/request_head.hpp"
#include "http_shim/response.hpp"
#include "http_shim/routes.hpp"

namespace export_worker::http_shim {

struct MessageFields {
    std::string_view id;
    std::string_view traceparent;
    std::uint32_t deadline_ms = 0;
    std::string_view client = {};  // Its address, for limits; empty: it does not matter.
};

// The message for a kCall route, or the response that says what is wrong with the request.
[[nodiscard]] tl::expected<std::string, Response> make_message(const Match& match,
                                                               const RequestHead& head,
                                                               std::string_view body,
                                                               const MessageFields& fields);
// The response for what the link returned.
[[nodiscard]] Response make_response(const Match& match, const Result<std::string>& reply);

// What the caller proves itself with, unverified.
struct Credential {
    enum class Kind {
        kNone,
        kAuthorization,  // The field; the cookie does not count then.
        kCookie,         // __Host-stytch_session, else stytch_session.
        kAmbiguous,      // Two cookies of one name: one of them may belong to another site.
    };
    Kind kind = Kind::kNone;
    std::string_view value;
};
[[nodiscard]] Credential credential_of(const RequestHead& head);
// 401 for a credential that cannot be one: missing, ambiguous, too long, not UTF-8. The daemon
// looks at the others.
[[nodiscard]] std::optional<Response> refuse_credential(const Credential& credential);
// 415 for a body that says it is no JSON.
[[nodiscard]] std::optional<Response> refuse_content_type(const RequestHead& head);
// 307 to the route that differs in the slash at the end only, as FastAPI answers.
[[nodiscard]] std::optional<Response> redirect_slash(const RequestHead& head);
// X-Request-ID when it is 1 to 40 of A-Z a-z 0-9 . _ -, else a new one.
[[nodiscard]] std::string request_id_of(const RequestHead& head);

}  // namespace export_worker::http_shim
