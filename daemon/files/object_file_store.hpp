// Export files in a bucket or container.
//
// KEY_PREFIX/ORGANIZATION/JOB.EPOCH-CLAIM.csv. A file of at most one part goes up in one request at
// commit(); a larger one in parts, of which one at a time is in memory. A crash leaves parts that
// no list of objects shows, or an object no job points to: remove() takes both away.
#pragma once

#include <string>

#include "daemon/files/file_store.hpp"
#include "daemon/files/object_requests.hpp"

namespace export_worker::files {

class ObjectFileStore final : public FileStore {
public:
    explicit ObjectFileStore(ObjectStoreDeps deps) : deps_(std::move(deps)) {}

    Result<std::unique_ptr<PendingFile>> create(const NewFile& file) override;
    Result<bool> remove(const model::FileKey& key) override;
    Result<std::optional<FileFacts>> inspect(const model::FileKey& key, bool with_hash) override;
    Result<void> list(const std::function<Result<void>(const ListedFile&)>& visit) override;
    bool is_remote() const override { return true; }
    std::string where() const override { return deps_.store.location + deps_.store.key_prefix; }

private:
    [[nodiscard]] Result<std::string> object_key(const model::FileKey& key) const;

    const ObjectStoreDeps deps_;
};

// The size of a part for a file of about `bytes_estimate` bytes: `wanted`, or as much more as it
// takes to stay within half of `parts_max` parts; at most kUploadPartBytesMax.
[[nodiscard]] std::size_t part_bytes_for(std::uint64_t bytes_estimate, std::size_t wanted,
                                         std::size_t parts_max);

}  // namespace export_worker::files
