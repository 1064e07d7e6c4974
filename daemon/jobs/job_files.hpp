// Which files the registry knows: intended, published, withdrawn. [any-thread], durable when they
// return.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/model/file.hpp"
#include "daemon/model/job.hpp"

namespace export_worker::jobs {

// A file that was intended but never published by a finished job.
struct UnpublishedFile {
    model::FileKey key;
    std::string job_id;
};

// A file of a finished job, as the store remembers it.
struct PublishedFile {
    model::FileKey key;
    std::string job_id;
    std::string organization_id;
    std::uint64_t bytes = 0;
    std::string sha256;
};

// Errors: those of job_store.hpp.
class JobFiles {
public:
    virtual ~JobFiles() = default;

    // Intended by an attempt that has ended without publishing; the holder of the lease of a
    // running job keeps its own.
    [[nodiscard]] virtual Result<std::vector<UnpublishedFile>> unpublished_files() = 0;
    // Withdrawn ones, once the links to them have ended: kFileDeletionMargin after the longest
    // lifetime of a link. The longest withdrawn first, at most kHousekeepingBatch.
    [[nodiscard]] virtual Result<std::vector<model::FileKey>> deletable_files() = 0;
    // The longest that a link may live which is made from now on, for files withdrawn from now on.
    // Kept over restarts.
    [[nodiscard]] virtual Result<void> set_link_lifetime(std::chrono::seconds lifetime) = 0;
    // The files are gone; forget them. A live one is not forgotten.
    [[nodiscard]] virtual Result<void> forget_files(std::span<const model::FileKey> keys) = 0;
    [[nodiscard]] Result<void> forget_file(const model::FileKey& key) {
        return forget_files(std::span(&key, 1));
    }
    // Is any file known, in whatever state?
    [[nodiscard]] virtual Result<bool> has_files() = 0;
    // Is `key` of a job this registry knows, and neither published nor intended? Then no
    // job needs it.
    [[nodiscard]] virtual Result<bool> is_orphan(const model::FileKey& key,
                                                 std::string_view job_id) = 0;
    // Files of finished jobs after `after`, by key; at most kFsckPage.
    [[nodiscard]] virtual Result<std::vector<PublishedFile>> published_files(
        const model::FileKey& after) = 0;
    // The file is lost: the job keeps its status, no link is minted any more, and
    // deletable_files() names it later.
    [[nodiscard]] virtual Result<void> withdraw_file(const model::FileKey& key,
                                                     std::string_view reason) = 0;
    // How long ago the job of the oldest published file ended, on the wall clock, which may have
    // been set since; nullopt: there is no file.
    [[nodiscard]] virtual Result<std::optional<std::chrono::microseconds>> oldest_file_age() = 0;
};

}  // namespace export_worker::jobs
