#include "daemon/app/record_download.hpp"

#include <deque>
#include <vector>

#include "daemon/jobs/file_key.hpp"
#include "signing/local_link.hpp"

namespace export_worker::app {

bool record_download(const CurrentCredentials& credentials, jobs::EventRecorder& events,
                     std::string_view target) {
    const auto set = credentials.get()->snapshot();
    std::deque<signing::LocalLinkKey> keys;  // A deque: the stores point into it.
    std::vector<signing::LocalLinkStore> stores;
    for (const auto& [name, of] : set->by_store) {
        keys.push_back({of.key_id, of.secret});
        stores.push_back({name, {&keys.back(), 1}});
    }
    // It was good when it was served; that is all this asks.
    const auto link = signing::verify_local_link(target, stores, 0);
    if (!link) return false;
    const std::string job_id = jobs::job_id_of(link->path);
    if (!job_id.empty()) events.record(job_id, "downloaded", "link of key " + link->key_id);
    return true;
}

}  // namespace export_worker::app
