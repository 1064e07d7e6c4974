// Azure Blob Storage: block blobs. Source: Microsoft, "Put Blob", "Put Block", "Put Block List",
// "List Blobs". Blocks nobody has committed are not listed, and go away by themselves after a week
// or with the next write of the blob.
#include <array>

#include "base/base64.hpp"
#include "daemon/files/limits.hpp"
#include "daemon/files/object_protocol.hpp"
#include "daemon/http_client/xml_document.hpp"

namespace export_worker::files {
namespace {

using http::HttpAnswer;
using http::XmlElement;

// All ids of one blob have the same length; they sort like their numbers.
std::string block_id(std::size_t index) {
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), "%08zu", index);
    return to_base64(text.data());
}

class AzureProtocol final : public ObjectProtocol {
public:
    explicit AzureProtocol(const ObjectStoreDeps& deps) : requests_(deps) {}

    std::size_t parts_max() const override { return limits::kUploadBlocksMax; }

    Result<void> put(const Upload& upload, std::string_view bytes) override {
        ObjectRequest request = write_request(upload.key);
        request.body = bytes;
        request.headers = {{"x-ms-blob-type", "BlockBlob"}, {"Content-Type", upload.content_type}};
        add_content_md5(request, bytes);
        EW_TRY(const HttpAnswer answer, requests_.send(request));
        if (answer.status != 201) return fail(error_of(answer, "upload the blob"));
        return {};
    }

    Result<void> put_part(Upload& upload, std::string_view bytes) override {
        std::string id = block_id(upload.parts.size());
        ObjectRequest request = write_request(upload.key);
        request.query = {{"comp", "block"}, {"blockid", id}};
        request.body = bytes;
        add_content_md5(request, bytes);
        EW_TRY(const HttpAnswer answer, requests_.send(request));
        if (answer.status != 201) return fail(error_of(answer, "upload a block"));
        upload.parts.push_back(std::move(id));
        return {};
    }

    Result<void> complete(const Upload& upload, std::uint64_t bytes) override {
        std::string body = R"(<?xml version="1.0" encoding="utf-8"?><BlockList>)";
        for (const std::string& id : upload.parts) body += "<Latest>" + id + "</Latest>";
        body += "</BlockList>";
        ObjectRequest request = write_request(upload.key);
        request.query = {{"comp", "blocklist"}};
        request.headers = {{"x-ms-blob-content-type", upload.content_type},
                           {"Content-Type", "application/xml"}};
        request.body = body;
        request.stall = limits::kUploadCompleteStall;
        return complete_surely(requests_, request, bytes,
                               [](const HttpAnswer& answer) { return answer.status == 201; });
    }

    Result<void> abort(const Upload&) override { return {}; }

    Result<bool> remove(std::string_view key) override {
        ObjectRequest request;
        request.method = "DELETE";
        request.key = key;
        request.permissions = "d";
        EW_TRY(const HttpAnswer answer, requests_.send(request));
        if (answer.status == 404) return false;
        if (answer.status != 202) return fail(error_of(answer, "delete the blob"));
        return true;
    }

    Result<void> list(const std::string& prefix,
                      const std::function<Result<void>(const ListedFile&)>& visit) override {
        std::string marker;
        do {
            ObjectRequest request;
            request.permissions = "l";
            request.query = {{"restype", "container"}, {"comp", "list"}, {"prefix", prefix}};
            if (!marker.empty()) request.query.emplace_back("marker", marker);
            EW_TRY(const HttpAnswer answer, requests_.send(request));
            if (answer.status != 200) return fail(error_of(answer, "list the container"));
            // The service puts a byte order mark in front.
            std::string_view body = answer.body;
            if (body.starts_with("\xef\xbb\xbf")) body.remove_prefix(3);
            EW_TRY(const XmlElement page, XmlElement::parse(body));
            const auto blobs = page.children("Blobs");
            for (const XmlElement& item : blobs.empty() ? blobs : blobs.front().children("Blob")) {
                EW_CHECK(
                    visit({item.text("Name"), parse_time(item.text("Properties/Last-Modified"))}));
            }
            marker = page.text("NextMarker");
        } while (!marker.empty());
        return {};
    }

private:
    static ObjectRequest write_request(std::string_view key) {
        ObjectRequest out;
        out.method = "PUT";
        out.key = key;
        out.permissions = "cw";
        return out;
    }

    ObjectRequests requests_;
};

}  // namespace

std::unique_ptr<ObjectProtocol> make_azure_protocol(const ObjectStoreDeps& deps) {
    return std::make_unique<AzureProtocol>(deps);
}

}  // namespace export_worker::files
