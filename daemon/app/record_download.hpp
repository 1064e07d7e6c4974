// A download through one of our links, remembered on its job.
#pragma once

#include <string_view>

#include "daemon/app/upload_store.hpp"
#include "daemon/jobs/event_recorder.hpp"

namespace export_worker::app {

// `target`: path and query of a local link. False when no store's current key has signed it; one
// that has expired in the meantime counts. The file of a job of ours names the job; of another's it
// is not known whose it is, and nothing is remembered. [any-thread]
[[nodiscard]] bool record_download(const CurrentCredentials& credentials,
                                   jobs::EventRecorder& events, std::string_view target);

}  // namespace export_worker::app
