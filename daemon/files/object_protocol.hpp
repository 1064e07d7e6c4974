// What the kinds of object stores do each their own way: how a large object is put together, how
// objects are listed.
//
// Implementations: the XML API of S3 (and everything compatible) and of Google Cloud Storage; Azure
// Blob Storage.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/files/file_store.hpp"
#include "daemon/files/object_requests.hpp"

namespace export_worker::files {

// An upload in parts, under way. Lives in memory only: what a crash leaves of one is found again by
// its key.
struct Upload {
    std::string key;
    std::string content_type;
    std::string id;                  // Empty until the first part.
    std::vector<std::string> parts;  // Proof of each, in order.
};

// Threads: [one-owner]. Errors of all functions: kUnavailable when the store did not answer or
// said "later" for as long as kHttpTriesMax tries, kFailedPrecondition when it refused.
class ObjectProtocol {
public:
    virtual ~ObjectProtocol() = default;

    [[nodiscard]] virtual std::size_t parts_max() const = 0;
    // The whole object at once.
    [[nodiscard]] virtual Result<void> put(const Upload& upload, std::string_view bytes) = 0;
    // The next part; begins the upload with the first one.
    [[nodiscard]] virtual Result<void> put_part(Upload& upload, std::string_view bytes) = 0;
    // Makes the object of its parts. When the answer was lost, the object itself
    // is looked at: it has `bytes` bytes then.
    [[nodiscard]] virtual Result<void> complete(const Upload& upload, std::uint64_t bytes) = 0;
    // Takes the parts away.
    [[nodiscard]] virtual Result<void> abort(const Upload& upload) = 0;
    // The object and every upload of it that is under way. True: there was an object.
    [[nodiscard]] virtual Result<bool> remove(std::string_view key) = 0;
    // Objects whose key starts with `prefix`; keys are whole.
    [[nodiscard]] virtual Result<void> list(
        const std::string& prefix, const std::function<Result<void>(const ListedFile&)>& visit) = 0;
};

// `deps` outlives the protocol. For kinds that can be written to.
[[nodiscard]] std::unique_ptr<ObjectProtocol> make_xml_protocol(const ObjectStoreDeps& deps);
[[nodiscard]] std::unique_ptr<ObjectProtocol> make_azure_protocol(const ObjectStoreDeps& deps);

// --- for the protocols ---

// "Content-MD5" of `bytes`, when there can be one.
void add_content_md5(ObjectRequest& request, std::string_view bytes);
// "Tue, 24 Nov 2026 10:00:00 GMT" or "2026-11-24T10:00:00.000Z"; 0 for what is neither.
[[nodiscard]] std::int64_t parse_time(const std::string& text);
// Size of the object, by HEAD; nullopt when there is none.
[[nodiscard]] Result<std::optional<std::uint64_t>> size_of(ObjectRequests& requests,
                                                           std::string_view key);
// Sends what completes an upload until its outcome is known. `is_complete` judges an answer.
[[nodiscard]] Result<void> complete_surely(
    ObjectRequests& requests, const ObjectRequest& request, std::uint64_t bytes,
    const std::function<bool(const http::HttpAnswer&)>& is_complete);

}  // namespace export_worker::files
