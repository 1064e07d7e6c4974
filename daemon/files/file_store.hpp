// Where export files live, whatever the place: a directory of this machine, a bucket, a container.
//
// A file shows up under its key only once commit() has returned; a crash before that leaves what
// the implementation says, and remove() takes all of it away.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/model/file.hpp"

namespace export_worker::files {

// One export file while it is being written. Threads: [one-owner], may move between threads but
// never serves two at once.
class PendingFile {
public:
    PendingFile() = default;
    PendingFile(const PendingFile&) = delete;
    PendingFile& operator=(const PendingFile&) = delete;
    // Without commit(), drops the bytes; what cannot be dropped is logged, never thrown.
    virtual ~PendingFile() = default;

    // Adds `bytes` at the end; borrows them for this call only. Blocks on disk or network.
    // Errors: kResourceExhausted when there is no room, kInternal when a write fails, kUnavailable
    // when a service does not answer, kFailedPrecondition when it refuses.
    // After any error the only legal next step is destruction.
    [[nodiscard]] virtual Result<void> append(std::string_view bytes) = 0;

    // Makes it durable and gives it its name (an existing file of that name is an error where the
    // place can tell: keys are never reused). Returns size and SHA-256 of what was published. At
    // most once; destruction is the only legal next step.
    [[nodiscard]] virtual Result<model::FileReceipt> commit() = 0;
};

struct NewFile {
    model::FileKey key;
    std::string content_type;
    std::uint64_t bytes_estimate = 0;  // Chooses the size of the parts of an upload.
};

struct ListedFile {
    model::FileKey key;
    std::int64_t modified_unix_s = 0;
};

struct FileFacts {
    std::uint64_t bytes = 0;
    std::string sha256;  // Empty where the place would have to send the whole file for it.
};

// [any-thread]
class FileStore {
public:
    virtual ~FileStore() = default;
    // Errors: kInvalidArgument for a key that would leave the store; those of the place.
    [[nodiscard]] virtual Result<std::unique_ptr<PendingFile>> create(const NewFile& file) = 0;
    // The file, and whatever a crash while writing it left. True: there was a file. Gone for good
    // when this returns.
    [[nodiscard]] virtual Result<bool> remove(const model::FileKey& key) = 0;
    // What is there under the key; nullopt: nothing. Reads the file only `with_hash`, and only
    // where it is on this machine.
    [[nodiscard]] virtual Result<std::optional<FileFacts>> inspect(const model::FileKey& key,
                                                                   bool with_hash) = 0;
    // Every finished file; ends with `visit`'s first error. Unreadable directories: an error last.
    [[nodiscard]] virtual Result<void> list(
        const std::function<Result<void>(const ListedFile&)>& visit) = 0;
    // Behind a network: what it is asked may take a minute to fail.
    [[nodiscard]] virtual bool is_remote() const = 0;
    // Why nothing can be said of its files now, such as a volume that is not mounted, in words;
    // empty: nothing is known to be wrong. Asks no network.
    [[nodiscard]] virtual std::string problem() const { return {}; }
    // For people: "/srv/exports", "s3://bucket/prefix/".
    [[nodiscard]] virtual std::string where() const = 0;
};

}  // namespace export_worker::files
