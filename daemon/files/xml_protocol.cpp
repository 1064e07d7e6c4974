// The XML API of S3 and of Google Cloud Storage. Sources: AWS, "Uploading and copying objects using
// multipart upload", "CompleteMultipartUpload" (200 with an error in the body), "ListObjectsV2";
// Google, "XML API multipart uploads".
#include <algorithm>

#include "daemon/files/limits.hpp"
#include "daemon/files/object_protocol.hpp"
#include "daemon/http_client/xml_document.hpp"

namespace export_worker::files {
namespace {

using http::HttpAnswer;
using http::XmlElement;

bool is_error(const HttpAnswer& answer) {
    if (answer.status != 200) return true;
    const auto document = XmlElement::parse(answer.body);
    return document && document->name() == "Error";
}

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            default: out += c;
        }
    }
    return out;
}

Result<XmlElement> document_of(const HttpAnswer& answer, std::string_view tried) {
    if (answer.status != 200) return fail(error_of(answer, tried));
    auto document = XmlElement::parse(answer.body);
    if (!document)
        return fail(ErrorCode::kUnavailable, std::string(tried) + ": " + document.error().message);
    if (document->name() == "Error") return fail(error_of(answer, tried));
    return document;
}

class XmlProtocol final : public ObjectProtocol {
public:
    explicit XmlProtocol(const ObjectStoreDeps& deps) : requests_(deps) {}

    std::size_t parts_max() const override { return limits::kUploadPartsMax; }

    Result<void> put(const Upload& upload, std::string_view bytes) override {
        ObjectRequest request;
        request.method = "PUT";
        request.key = upload.key;
        request.body = bytes;
        request.headers = {{"Content-Type", upload.content_type}};
        add_content_md5(request, bytes);
        EW_TRY(const HttpAnswer answer, requests_.send(request));
        if (answer.status != 200) return fail(error_of(answer, "upload the object"));
        return {};
    }

    Result<void> put_part(Upload& upload, std::string_view bytes) override {
        if (upload.id.empty()) EW_CHECK(begin(upload));
        ObjectRequest request;
        request.method = "PUT";
        request.key = upload.key;
        request.query = {{"partNumber", std::to_string(upload.parts.size() + 1)},
                         {"uploadId", upload.id}};
        request.body = bytes;
        add_content_md5(request, bytes);
        EW_TRY(const HttpAnswer answer, requests_.send(request));
        const std::string_view tag = answer.header("etag");
        if (answer.status != 200 || tag.empty()) return fail(error_of(answer, "upload a part"));
        upload.parts.emplace_back(tag);
        return {};
    }

    Result<void> complete(const Upload& upload, std::uint64_t bytes) override {
        std::string body = "<CompleteMultipartUpload>";
        for (std::size_t index = 0; index < upload.parts.size(); ++index) {
            body += "<Part><PartNumber>" + std::to_string(index + 1) + "</PartNumber><ETag>" +
                    escaped(upload.parts[index]) + "</ETag></Part>";
        }
        body += "</CompleteMultipartUpload>";
        ObjectRequest request;
        request.method = "POST";
        request.key = upload.key;
        request.query = {{"uploadId", upload.id}};
        request.headers = {{"Content-Type", "application/xml"}};
        request.body = body;
        request.stall = limits::kUploadCompleteStall;
        return complete_surely(requests_, request, bytes,
                               [](const HttpAnswer& answer) { return !is_error(answer); });
    }

    Result<void> abort(const Upload& upload) override {
        if (upload.id.empty()) return {};
        return abort(upload.key, upload.id);
    }

    Result<bool> remove(std::string_view key) override {
        EW_CHECK(abort_uploads(key));
        EW_TRY(const auto size, size_of(requests_, key));
        if (!size) return false;
        ObjectRequest request;
        request.method = "DELETE";
        request.key = key;
        EW_TRY(const HttpAnswer answer, requests_.send(request));
        if (answer.status != 204 && answer.status != 200 && answer.status != 404)
            return fail(error_of(answer, "delete the object"));
        return true;
    }

    Result<void> list(const std::string& prefix,
                      const std::function<Result<void>(const ListedFile&)>& visit) override {
        std::string token;
        do {
            ObjectRequest request;
            request.query = {{"list-type", "2"}, {"prefix", prefix}};
            if (!token.empty()) request.query.emplace_back("continuation-token", token);
            EW_TRY(const HttpAnswer answer, requests_.send(request));
            EW_TRY(const XmlElement page, document_of(answer, "list the bucket"));
            for (const XmlElement& item : page.children("Contents"))
                EW_CHECK(visit({item.text("Key"), parse_time(item.text("LastModified"))}));
            token = page.text("IsTruncated") == "true" ? page.text("NextContinuationToken") : "";
        } while (!token.empty());
        return {};
    }

private:
    Result<void> begin(Upload& upload) {
        ObjectRequest request;
        request.method = "POST";
        request.key = upload.key;
        request.query = {{"uploads", ""}};
        request.headers = {{"Content-Type", upload.content_type}};
        EW_TRY(const HttpAnswer answer, requests_.send(request));
        EW_TRY(const XmlElement document, document_of(answer, "begin the upload"));
        upload.id = document.text("UploadId");
        if (upload.id.empty())
            return fail(ErrorCode::kUnavailable,
                        "begin the upload: expected an UploadId, found none");
        return {};
    }

    Result<void> abort(std::string_view key, const std::string& id) {
        ObjectRequest request;
        request.method = "DELETE";
        request.key = key;
        request.query = {{"uploadId", id}};
        EW_TRY(const HttpAnswer answer, requests_.send(request));
        if (answer.status != 204 && answer.status != 200 && answer.status != 404)
            return fail(error_of(answer, "abort the upload"));
        return {};
    }

    // What a crash has left of `key`, also by a process that knew its id and is gone.
    Result<void> abort_uploads(std::string_view key) {
        ObjectRequest request;
        request.query = {{"uploads", ""}, {"prefix", std::string(key)}};
        EW_TRY(const HttpAnswer answer, requests_.send(request));
        // Stores without multipart uploads have none left.
        if (answer.status == 501 || answer.status == 405) return {};
        EW_TRY(const XmlElement page, document_of(answer, "list uploads"));
        for (const XmlElement& item : page.children("Upload")) {
            if (item.text("Key") == key) EW_CHECK(abort(key, item.text("UploadId")));
        }
        return {};
    }

    ObjectRequests requests_;
};

}  // namespace

std::unique_ptr<ObjectProtocol> make_xml_protocol(const ObjectStoreDeps& deps) {
    return std::make_unique<XmlProtocol>(deps);
}

}  // namespace export_worker::files
