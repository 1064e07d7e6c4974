// The store exports are written to, put together from configuration and credentials.
#pragma once

#include <atomic>
#include <memory>

#include "base/result.hpp"
#include "daemon/app/upload_keys.hpp"
#include "daemon/config/config.hpp"
#include "daemon/files/file_store.hpp"
#include "daemon/jobs/job_store.hpp"

namespace export_worker::app {

// `jobs`: asked for its files, which must be below a local root. `credentials` and `stopping`
// outlive the store; once the latter is set, what waits for a network ends. Errors: those of
// LocalFileStore::open() and signing::parse_store().
[[nodiscard]] Result<std::unique_ptr<files::FileStore>> open_export_store(
    const config::Config& config, const CurrentCredentials& credentials, jobs::JobStore& jobs,
    const std::atomic<bool>& stopping);

// The same for a store that is no directory. Errors: also kInvalidArgument for one that is.
[[nodiscard]] Result<std::unique_ptr<files::FileStore>> open_object_store(
    const config::Config& config, const CurrentCredentials& credentials,
    const std::atomic<bool>& stopping);

}  // namespace export_worker::app
