// One connection: read a head, read its body, answer, again. The shortest way from request to
// reply.
#pragma once

#include <memory>
#include <string>

#include "http_shim/coroutine.hpp"
#include "http_shim/deps.hpp"

namespace export_worker::http_shim {

// Serves `socket` until either side ends it. `peer`: an address, or "unix". [the io thread]
[[nodiscard]] Awaitable<void> serve(Stream socket, std::string peer,
                                    std::unique_ptr<Connections::Place> place, SessionDeps& deps);

}  // namespace export_worker::http_shim
