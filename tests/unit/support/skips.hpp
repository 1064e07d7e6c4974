// Which unit tests a run leaves out, and how they say so (the Python tests have
// functional/skips.py).
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

namespace export_worker::testing {

// A skip whose reason begins like this was asked for by `scripts/test --without`.
inline constexpr std::string_view kLeftOut = "left out by --without ";

// Whether EXPORT_WORKER_WITHOUT, a list with commas, names the peer.
[[nodiscard]] inline bool left_out(std::string_view peer) {
    const char* value = std::getenv("EXPORT_WORKER_WITHOUT");
    const std::string list = "," + std::string(value == nullptr ? "" : value) + ",";
    return list.find("," + std::string(peer) + ",") != std::string::npos;
}

}  // namespace export_worker::testing
