#include "daemon/app/note_download.hpp"

#include "daemon/export/export_runner.hpp"
#include "signing/local_link.hpp"

namespace export_worker::app {

bool note_download(const CurrentCredentials& credentials, jobs::EventRecorder& events,
                   std::string_view target) {
    const auto set = credentials.get()->snapshot();
    for (const auto& [store, of] : set->by_store) {
        const signing::LocalLinkKey key{of.key_id, of.secret};
        // It was good when it was served; that is all this asks.
        const auto link = signing::verify_local_link(target, {&key, 1}, 0);
        if (!link) continue;
        const std::string job_id = exports::job_id_of(link->path);
        if (!job_id.empty()) events.record(job_id, "downloaded", "link of key " + link->key_id);
        return true;
    }
    return false;
}

}  // namespace export_worker::app
