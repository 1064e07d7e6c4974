#include "daemon/app/link_lifetime.hpp"

#include <algorithm>

#include "signing/store.hpp"

namespace export_worker::app {

std::chrono::seconds longest_link_lifetime(const std::vector<model::StoreSettings>& stores) {
    std::chrono::seconds longest{0};
    for (const model::StoreSettings& settings : stores) {
        // Stores that cannot be parsed have no links: read_config() has refused them.
        const auto store = signing::parse_store(settings.name, settings.values);
        if (store)
            longest = std::max(longest,
                               std::chrono::seconds(store->link_lifetime_s + store->link_window_s));
    }
    return longest;
}

}  // namespace export_worker::app
