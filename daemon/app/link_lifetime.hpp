// How long a link may live that download_url mints.
#pragma once

#include <chrono>
#include <vector>

#include "daemon/model/store_settings.hpp"

namespace export_worker::app {

// The longest of all stores, with its window; zero without stores.
[[nodiscard]] std::chrono::seconds longest_link_lifetime(
    const std::vector<model::StoreSettings>& stores);

}  // namespace export_worker::app
