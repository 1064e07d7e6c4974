#include "daemon/files/object_file_store.hpp"

#include <algorithm>

#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "base/log.hpp"
#include "daemon/files/object_protocol.hpp"
#include "daemon/model/limits.hpp"
#include "signing/object_key.hpp"

namespace export_worker::files {
namespace {

std::unique_ptr<ObjectProtocol> make_protocol(const ObjectStoreDeps& deps) {
    return deps.store.kind == signing::StoreKind::kAzure ? make_azure_protocol(deps)
                                                         : make_xml_protocol(deps);
}

class ObjectPendingFile final : public PendingFile {
public:
    ObjectPendingFile(const ObjectStoreDeps& deps, const NewFile& file, std::string key)
        : deps_(deps), protocol_(make_protocol(deps)), file_key_(file.key) {
        upload_.key = std::move(key);
        upload_.content_type = file.content_type;
        part_bytes_ = part_bytes_for(file.bytes_estimate, deps.part_bytes, protocol_->parts_max());
        buffer_.reserve(part_bytes_);  // Pages that are never touched cost nothing.
    }
    ~ObjectPendingFile() override {
        if (done_ || upload_.id.empty()) return;
        if (auto aborted = protocol_->abort(upload_); !aborted)
            log_warn("{}: its upload is left: {}", file_key_, aborted.error().message);
    }

    Result<void> append(std::string_view bytes) override {
        digest_.update(bytes);
        bytes_ += bytes.size();
        while (buffer_.size() + bytes.size() > part_bytes_) {
            const std::size_t room = part_bytes_ - buffer_.size();
            buffer_.append(bytes.substr(0, room));
            bytes.remove_prefix(room);
            EW_CHECK(put_part());
        }
        buffer_.append(bytes);
        return {};
    }

    Result<model::FileReceipt> commit() override {
        if (upload_.parts.empty()) {
            EW_CHECK(protocol_->put(upload_, buffer_));
        } else {
            EW_CHECK(put_part());
            EW_CHECK(protocol_->complete(upload_, bytes_));
        }
        done_ = true;
        return model::FileReceipt{file_key_, signing::file_url_of(deps_.store, upload_.key), bytes_,
                                  to_hex(digest_.finish())};
    }

private:
    Result<void> put_part() {
        if (upload_.parts.size() >= protocol_->parts_max()) {
            return fail(ErrorCode::kResourceExhausted,
                        "upload: expected at most " + std::to_string(protocol_->parts_max()) +
                            " parts of " + std::to_string(part_bytes_) +
                            " bytes; set part_mib of the store to more");
        }
        EW_CHECK(protocol_->put_part(upload_, buffer_));
        buffer_.clear();
        return {};
    }

    const ObjectStoreDeps& deps_;
    const std::unique_ptr<ObjectProtocol> protocol_;
    const model::FileKey file_key_;
    Upload upload_;
    std::size_t part_bytes_ = 0;
    std::string buffer_;  // At most part_bytes_.
    crypto::Sha256 digest_;
    std::uint64_t bytes_ = 0;
    bool done_ = false;
};

}  // namespace

std::size_t part_bytes_for(std::uint64_t bytes_estimate, std::size_t wanted,
                           std::size_t parts_max) {
    constexpr std::uint64_t kMebibyte = 1024 * 1024;
    const std::uint64_t needed = bytes_estimate / (parts_max / 2) + 1;
    const std::uint64_t whole = (needed + kMebibyte - 1) / kMebibyte * kMebibyte;
    return static_cast<std::size_t>(
        std::clamp<std::uint64_t>(whole, wanted, limits::kUploadPartBytesMax));
}

Result<std::string> ObjectFileStore::object_key(const model::FileKey& key) const {
    std::string out = deps_.store.key_prefix + key;
    if (key.starts_with('/'))
        return fail(ErrorCode::kInvalidArgument, "file key: a slash in front");
    EW_CHECK(signing::check_object_key(out));
    return out;
}

Result<std::unique_ptr<PendingFile>> ObjectFileStore::create(const NewFile& file) {
    EW_TRY(std::string key, object_key(file.key));
    return std::make_unique<ObjectPendingFile>(deps_, file, std::move(key));
}

Result<bool> ObjectFileStore::remove(const model::FileKey& key) {
    EW_TRY(const std::string object, object_key(key));
    return make_protocol(deps_)->remove(object);
}

// Its hash would mean to fetch all of it.
Result<std::optional<FileFacts>> ObjectFileStore::inspect(const model::FileKey& key, bool) {
    EW_TRY(const std::string object, object_key(key));
    ObjectRequests requests(deps_);
    EW_TRY(const auto bytes, size_of(requests, object));
    if (!bytes) return std::optional<FileFacts>();
    return std::optional(FileFacts{*bytes, ""});
}

Result<void> ObjectFileStore::list(const std::function<Result<void>(const ListedFile&)>& visit) {
    const std::string& prefix = deps_.store.key_prefix;
    return make_protocol(deps_)->list(prefix, [&](const ListedFile& file) -> Result<void> {
        if (!file.key.starts_with(prefix)) return {};
        return visit({file.key.substr(prefix.size()), file.modified_unix_s});
    });
}

}  // namespace export_worker::files
