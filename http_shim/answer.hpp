// From an accepted request to its response: by the shim itself, or by a daemon.
#pragma once

#include <optional>
#include <string>

#include "http_shim/deps.hpp"
#include "http_shim/request_head.hpp"
#include "http_shim/response.hpp"
#include "http_shim/routes.hpp"

namespace export_worker::http_shim {

// What is refused by the head alone, before a body is read: other sites' pages, those who ask too
// often, bodies without a credential or of another type. nullopt: go on. Counts the request.
[[nodiscard]] std::optional<Response> refuse_early(const RequestHead& head, const Match& match,
                                                   const Exchange& exchange, SessionDeps& deps);

// For everything but downloads. `peer`: whose connection it is.
[[nodiscard]] Awaitable<Response> respond(const Match& match, const RequestHead& head,
                                          const std::string& body, const std::string& peer,
                                          const Exchange& exchange, SessionDeps& deps);

}  // namespace export_worker::http_shim
