#include "daemon/files/object_file_store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/base64.hpp"
#include "base/crypto/md5.hpp"
#include "base/crypto/private_key.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "daemon/files/object_protocol.hpp"
#include "daemon/model/limits.hpp"
#include "signing/percent_encoding.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/http_server.hpp"
#include "tests/unit/support/test_keys.hpp"

namespace export_worker::files {
namespace {

using testing::HttpServer;

using Request = HttpServer::Request;
using Response = HttpServer::Response;

std::string md5_of(const std::string& bytes) {
    const auto digest = crypto::md5(bytes);
    return to_base64({reinterpret_cast<const char*>(digest->data()), digest->size()});
}

std::string parameter(const Request& request, const std::string& name) {
    for (const std::string start : {"?", "&"}) {
        const std::size_t at = request.target.find(start + name + "=");
        if (at == std::string::npos) continue;
        const std::size_t begin = at + name.size() + 2;
        return *signing::percent_decode(
            request.target.substr(begin, request.target.find('&', begin) - begin));
    }
    return "-";
}

// A bucket in memory, as S3 behaves; tests put failures in its way.
class Bucket {
public:
    std::map<std::string, std::string> objects;
    std::map<std::string, std::pair<std::string, std::map<int, std::string>>>
        uploads;  // id: key, parts
    // Looks at a request first; nullopt lets it pass.
    std::function<std::optional<Response>(const Request&)> interfere;

    Response operator()(const Request& request) {
        const std::lock_guard lock(mutex);
        if (interfere) {
            if (auto response = interfere(request)) return *response;
        }
        const std::string path = request.target.substr(0, request.target.find('?'));
        const std::string prefix = "/bucket/";
        const std::string key = path.size() > prefix.size() ? path.substr(prefix.size()) : "";
        if (!authorized(request)) return error(403, "AccessDenied");
        if (request.headers.contains("content-md5") &&
            request.headers.at("content-md5") != md5_of(request.body))
            return error(400, "BadDigest");
        const std::string id = parameter(request, "uploadId");
        if (request.method == "PUT" && id != "-") {
            if (!uploads.contains(id)) return error(404, "NoSuchUpload");
            uploads[id].second[std::stoi(parameter(request, "partNumber"))] = request.body;
            return {200, "", {{"ETag", "\"" + std::to_string(request.body.size()) + "\""}}};
        }
        if (request.method == "PUT") {
            objects[key] = request.body;
            return {200, "", {{"ETag", "\"e\""}}};
        }
        if (request.method == "POST" && parameter(request, "uploads").empty()) {
            const std::string made = "u" + std::to_string(++last_id);
            uploads[made].first = key;
            return {200, "<R><UploadId>" + made + "</UploadId></R>", {}};
        }
        if (request.method == "POST") return complete(id);
        if (request.method == "DELETE" && id != "-") return {uploads.erase(id) ? 204 : 404, "", {}};
        if (request.method == "DELETE") {
            objects.erase(key);
            return {204, "", {}};
        }
        if (request.method == "HEAD") {
            if (!objects.contains(key)) return {404, "", {}};
            return {200, "", {{"Content-Length", std::to_string(objects[key].size())}}};
        }
        return parameter(request, "uploads").empty() ? list_uploads() : list(request);
    }

    // Tests replace it where the signature can be verified.
    std::function<bool(const Request&)> authorized = [](const Request& request) {
        return parameter(request, "X-Amz-Signature").size() == 64;
    };

    static Response error(int status, const std::string& code) {
        return {status, "<Error><Code>" + code + "</Code><Message>no</Message></Error>", {}};
    }

    std::mutex mutex;

private:
    Response complete(const std::string& id) {
        if (!uploads.contains(id)) return error(404, "NoSuchUpload");
        std::string whole;
        for (const auto& [number, part] : uploads[id].second) whole += part;
        objects[uploads[id].first] = whole;
        uploads.erase(id);
        return {200, "<CompleteMultipartUploadResult/>", {}};
    }
    Response list_uploads() const {
        std::string out = "<ListMultipartUploadsResult>";
        for (const auto& [id, upload] : uploads)
            out +=
                "<Upload><Key>" + upload.first + "</Key><UploadId>" + id + "</UploadId></Upload>";
        return {200, out + "</ListMultipartUploadsResult>", {}};
    }
    // Two a page.
    Response list(const Request& request) const {
        const std::string token = parameter(request, "continuation-token");
        std::string out = "<ListBucketResult>";
        int count = 0;
        std::string last;
        for (const auto& [key, bytes] : objects) {
            if (token != "-" && key <= token) continue;
            if (!key.starts_with(parameter(request, "prefix"))) continue;
            if (count++ == 2) {
                out += "<IsTruncated>true</IsTruncated><NextContinuationToken>" + last +
                       "</NextContinuationToken>";
                break;
            }
            out += "<Contents><Key>" + key +
                   "</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified></Contents>";
            last = key;
        }
        return {200, out + "</ListBucketResult>", {}};
    }
    int last_id = 0;
};

class ObjectFileStoreTest : public ::testing::Test {
protected:
    ObjectStoreDeps deps(const std::string& prefix = "s3://bucket/exports/") {
        ObjectStoreDeps out;
        out.store = *signing::parse_store("b", {{"kind", "s3"},
                                                {"prefix", prefix},
                                                {"region", "us-east-1"},
                                                {"addressing", "path"},
                                                {"endpoint", server_.url()}});
        out.part_bytes = kPart;
        out.clock = &clock_;
        out.stopping = &stopping_;
        out.signing_key = [this, store = out.store] {
            return signing::make_signing_key(store, {"AKIA", "secret", ""},
                                             clock_.unix_us() / 1'000'000);
        };
        return out;
    }
    static std::string text(std::size_t bytes) {
        std::string out;
        for (std::size_t index = 0; out.size() < bytes; ++index) out += std::to_string(index) + ",";
        out.resize(bytes);
        return out;
    }
    Result<model::FileReceipt> write(const std::string& key, const std::string& bytes) {
        EW_TRY(const std::unique_ptr<PendingFile> file,
               store_.create({key, "text/csv", bytes.size()}));
        for (std::size_t at = 0; at < bytes.size(); at += 100'000)
            EW_CHECK(file->append(std::string_view(bytes).substr(at, 100'000)));
        return file->commit();
    }
    // How many requests `matches` says are meant.
    std::size_t count(const std::function<bool(const Request&)>& matches) const {
        const auto all = server_.requests();
        return static_cast<std::size_t>(std::ranges::count_if(all, matches));
    }

    static constexpr std::size_t kPart = 1024 * 1024;
    Bucket bucket_;
    HttpServer server_{std::ref(bucket_)};
    std::atomic<bool> stopping_{false};
    const testing::SkippingClock clock_{};  // Nothing waits before it tries again.
    ObjectFileStore store_{deps()};
};

TEST_F(ObjectFileStoreTest, ASmallFileIsOneRequest) {
    const auto receipt = write("acme/j.1.csv", "a,b\r\n");
    ASSERT_TRUE(receipt) << receipt.error().message;
    EXPECT_EQ(receipt->file_url, "s3://bucket/exports/acme/j.1.csv");
    EXPECT_EQ(receipt->key, "acme/j.1.csv");
    EXPECT_EQ(receipt->bytes, 5U);
    EXPECT_EQ(receipt->sha256, to_hex(crypto::sha256("a,b\r\n")));
    EXPECT_EQ(bucket_.objects.at("exports/acme/j.1.csv"), "a,b\r\n");
    ASSERT_EQ(server_.requests().size(), 1U);
    EXPECT_EQ(server_.requests()[0].headers.at("content-type"), "text/csv");
    EXPECT_TRUE(server_.requests()[0].headers.contains("content-md5"));
    EXPECT_NE(parameter(server_.requests()[0], "X-Amz-SignedHeaders").find("content-md5"),
              std::string::npos);
}

TEST_F(ObjectFileStoreTest, ALargeFileGoesUpInPartsOfOneSize) {
    for (const std::size_t bytes : {kPart, kPart + 1, 3 * kPart, 3 * kPart + 17}) {
        const std::string whole = text(bytes);
        const auto receipt = write("acme/" + std::to_string(bytes) + ".1.csv", whole);
        ASSERT_TRUE(receipt) << receipt.error().message;
        EXPECT_EQ(receipt->sha256, to_hex(crypto::sha256(whole)));
        EXPECT_EQ(bucket_.objects.at("exports/acme/" + std::to_string(bytes) + ".1.csv"), whole);
    }
    EXPECT_TRUE(bucket_.uploads.empty());
}

// The last part too, which is shorter than the others.
TEST_F(ObjectFileStoreTest, EveryPartHasAHashThatTheStoreChecks) {
    ASSERT_TRUE(write("acme/j.1.csv", text(2 * kPart + 17)));
    std::size_t parts = 0;
    for (const Request& request : server_.requests()) {
        if (parameter(request, "partNumber") == "-") continue;
        ++parts;
        ASSERT_TRUE(request.headers.contains("content-md5")) << request.target;
        EXPECT_EQ(request.headers.at("content-md5"), md5_of(request.body));
    }
    EXPECT_EQ(parts, 3U);
}

TEST_F(ObjectFileStoreTest, APartWithoutATagIsNotUploaded) {
    bucket_.interfere = [](const Request& request) -> std::optional<Response> {
        if (parameter(request, "partNumber") == "2") return Response{200, "", {}};
        return std::nullopt;
    };
    const auto lost = write("acme/j.1.csv", text(2 * kPart + 17));
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, ErrorCode::kUnavailable);
    EXPECT_TRUE(bucket_.objects.empty());
}

TEST_F(ObjectFileStoreTest, AnAbandonedUploadIsAborted) {
    {
        const auto file = store_.create({"acme/j.1.csv", "text/csv", 0});
        ASSERT_TRUE((*file)->append(text(2 * kPart + 1)));
        EXPECT_EQ(bucket_.uploads.size(), 1U);
    }
    EXPECT_TRUE(bucket_.uploads.empty());
    EXPECT_TRUE(bucket_.objects.empty());
}

TEST_F(ObjectFileStoreTest, WhatSaysLaterIsTriedAgain) {
    // Every request fails once: refused for now, or without an answer.
    std::set<std::string> failed;
    bucket_.interfere = [&](const Request& request) -> std::optional<Response> {
        const std::string what = request.method + parameter(request, "partNumber") +
                                 parameter(request, "uploadId") + parameter(request, "uploads");
        if (!failed.insert(what).second) return std::nullopt;
        Response out = Bucket::error(503, "SlowDown");
        out.hang_up = failed.size() % 2 == 1;
        return out;
    };
    const std::string whole = text(2 * kPart + 5);
    const auto receipt = write("acme/j.1.csv", whole);
    ASSERT_TRUE(receipt) << receipt.error().message;
    EXPECT_EQ(bucket_.objects.at("exports/acme/j.1.csv"), whole);
}

TEST_F(ObjectFileStoreTest, ARefusalIsFinalAndNamesItsCode) {
    bucket_.interfere = [](const Request&) { return Bucket::error(403, "AccessDenied"); };
    const auto refused = write("acme/j.1.csv", "x");
    EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(refused.error().message.find("403 AccessDenied: no"), std::string::npos)
        << refused.error().message;
    EXPECT_EQ(refused.error().message.find("X-Amz"), std::string::npos);
    EXPECT_EQ(server_.requests().size(), 1U);
    bucket_.interfere = [](const Request&) { return Bucket::error(400, "ExpiredToken"); };
    EXPECT_EQ(write("acme/j.1.csv", "x").error().code, ErrorCode::kUnavailable);
}

TEST_F(ObjectFileStoreTest, AnErrorBehindStatus200IsAnError) {
    int completes = 0;
    bucket_.interfere = [&](const Request& request) -> std::optional<Response> {
        const bool complete = request.method == "POST" && !parameter(request, "uploads").empty();
        if (complete && ++completes == 1) return Bucket::error(200, "InternalError");
        return std::nullopt;
    };
    const std::string whole = text(2 * kPart);
    ASSERT_TRUE(write("acme/j.1.csv", whole));
    EXPECT_EQ(completes, 2);
    EXPECT_EQ(bucket_.objects.at("exports/acme/j.1.csv"), whole);
}

// The answer to "complete" gets lost, once before and once after the store has done it.
TEST_F(ObjectFileStoreTest, AnUnknownOutcomeIsFoundOut) {
    for (const bool done : {false, true}) {
        int completes = 0;
        bucket_.interfere = [&, done](const Request& request) -> std::optional<Response> {
            const bool complete =
                request.method == "POST" && !parameter(request, "uploads").empty();
            if (!complete || ++completes > 1) return std::nullopt;
            if (done) {
                const std::string id = parameter(request, "uploadId");
                std::string whole;
                for (const auto& [number, part] : bucket_.uploads[id].second) whole += part;
                bucket_.objects[bucket_.uploads[id].first] = whole;
                bucket_.uploads.erase(id);
            }
            Response out;
            out.hang_up = true;
            return out;
        };
        const std::string key = done ? "acme/done.1.csv" : "acme/not.1.csv";
        const std::string whole = text(2 * kPart + 3);
        const auto receipt = write(key, whole);
        ASSERT_TRUE(receipt) << receipt.error().message;
        EXPECT_EQ(completes, done ? 1 : 2);
        EXPECT_EQ(bucket_.objects.at("exports/" + key), whole);
    }
}

// The answer to "complete" gets lost, and under the key lies another object than ours.
TEST_F(ObjectFileStoreTest, AnObjectOfAnotherSizeIsNotTakenForTheUpload) {
    bucket_.objects["exports/acme/j.1.csv"] = "somebody else's";
    int completes = 0;
    bucket_.interfere = [&](const Request& request) -> std::optional<Response> {
        const bool complete = request.method == "POST" && !parameter(request, "uploads").empty();
        if (!complete || ++completes > 1) return std::nullopt;
        Response out;
        out.hang_up = true;
        return out;
    };
    const std::string whole = text(2 * kPart + 3);
    ASSERT_TRUE(write("acme/j.1.csv", whole));
    EXPECT_EQ(completes, 2);
    EXPECT_EQ(bucket_.objects.at("exports/acme/j.1.csv"), whole);
}

TEST_F(ObjectFileStoreTest, AnUploadThatIsGoneIsNoSuccess) {
    bucket_.interfere = [&](const Request& request) -> std::optional<Response> {
        if (request.method == "POST" && !parameter(request, "uploads").empty())
            bucket_.uploads.clear();
        return std::nullopt;
    };
    const auto lost = write("acme/j.1.csv", text(2 * kPart));
    ASSERT_FALSE(lost);
    EXPECT_NE(lost.error().message.find("NoSuchUpload"), std::string::npos);
}

TEST_F(ObjectFileStoreTest, RemoveTakesTheObjectAndItsUploads) {
    bucket_.objects["exports/acme/j.1.csv"] = "x";
    bucket_.uploads["left"] = {"exports/acme/j.1.csv", {{1, "part"}}};
    bucket_.uploads["other"] = {"exports/acme/j.1.csv2", {{1, "part"}}};
    EXPECT_TRUE(*store_.remove("acme/j.1.csv"));
    EXPECT_TRUE(bucket_.objects.empty());
    EXPECT_EQ(bucket_.uploads.size(), 1U);
    EXPECT_FALSE(*store_.remove("acme/j.1.csv"));
    // A store without multipart uploads has none to abort.
    bucket_.interfere = [](const Request& request) -> std::optional<Response> {
        if (parameter(request, "uploads").empty()) return Bucket::error(501, "NotImplemented");
        return std::nullopt;
    };
    EXPECT_FALSE(*store_.remove("acme/j.1.csv"));
}

// What a store answers to one step of an upload or a removal.
TEST_F(ObjectFileStoreTest, EveryStepThatFailsIsNamed) {
    struct Case {
        std::string step;
        std::function<bool(const Request&)> meant;
        Response answer;
        ErrorCode code;
        std::string words;
    };
    const auto has = [](const char* method, const char* name, const char* value) {
        return [=](const Request& request) {
            return request.method == method && parameter(request, name) == value;
        };
    };
    const std::vector<Case> cases{
        {"begin",
         has("POST", "uploads", ""),
         {200, "no XML", {}},
         ErrorCode::kUnavailable,
         "begin the upload: "},
        {"begin",
         has("POST", "uploads", ""),
         {200, "<R></R>", {}},
         ErrorCode::kUnavailable,
         "begin the upload: expected an UploadId, found none"},
        {"abort", has("DELETE", "uploadId", "left"), Bucket::error(403, "AccessDenied"),
         ErrorCode::kFailedPrecondition, "abort the upload"},
        {"delete", has("DELETE", "uploadId", "-"), Bucket::error(403, "AccessDenied"),
         ErrorCode::kFailedPrecondition, "delete the object"},
    };
    for (const Case& each : cases) {
        bucket_.objects["exports/acme/j.1.csv"] = "x";
        bucket_.uploads.clear();
        if (each.step == "abort") bucket_.uploads["left"] = {"exports/acme/j.1.csv", {}};
        bucket_.interfere = [&](const Request& request) -> std::optional<Response> {
            return each.meant(request) ? std::optional(each.answer) : std::nullopt;
        };
        const Error error = each.step == "begin" ? write("acme/k.1.csv", text(kPart + 1)).error()
                                                 : store_.remove("acme/j.1.csv").error();
        EXPECT_EQ(error.code, each.code) << each.step;
        EXPECT_NE(error.message.find(each.words), std::string::npos) << error.message;
    }
}

TEST_F(ObjectFileStoreTest, AnAzureContainerThatCannotBeListedIsAnError) {
    ObjectStoreDeps azure = deps();
    azure.store = *signing::parse_store("z", {{"kind", "azure"},
                                              {"prefix", "az://exports/"},
                                              {"account", "acct"},
                                              {"endpoint", server_.url()}});
    azure.signing_key = [store = azure.store] {
        return signing::make_signing_key(store, {"acct", "c2VjcmV0", ""}, 0);
    };
    bucket_.interfere = [](const Request&) { return Bucket::error(403, "AuthorizationFailure"); };
    const auto listed =
        ObjectFileStore(azure).list([](const ListedFile&) { return Result<void>(); });
    ASSERT_FALSE(listed);
    EXPECT_EQ(listed.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(listed.error().message.find("list the container"), std::string::npos)
        << listed.error().message;
}

TEST_F(ObjectFileStoreTest, ListsEveryPage) {
    for (const char* key : {"exports/acme/1.1.csv", "exports/acme/2.1.csv", "exports/b/3.1.csv",
                            "exports/b/4.1.csv", "exports/c/5.1.csv", "elsewhere/6.1.csv"})
        bucket_.objects[key] = "x";
    std::vector<std::string> keys;
    ASSERT_TRUE(store_.list([&](const ListedFile& file) -> Result<void> {
        keys.push_back(file.key);
        EXPECT_EQ(file.modified_unix_s, 1767323045);
        return {};
    }));
    EXPECT_EQ(keys, (std::vector<std::string>{"acme/1.1.csv", "acme/2.1.csv", "b/3.1.csv",
                                              "b/4.1.csv", "c/5.1.csv"}));
    EXPECT_EQ(
        store_.list([](const ListedFile&) { return Result<void>(fail(ErrorCode::kInternal, "x")); })
            .error()
            .code,
        ErrorCode::kInternal);
}

TEST_F(ObjectFileStoreTest, AStoppingDaemonDoesNotWait) {
    bucket_.interfere = [&](const Request&) -> std::optional<Response> {
        stopping_ = true;
        return Bucket::error(503, "SlowDown");
    };
    const auto stopped = write("acme/j.1.csv", "x");
    EXPECT_EQ(stopped.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(stopped.error().message.find("stopping"), std::string::npos);
    EXPECT_EQ(server_.requests().size(), 1U);
}

TEST_F(ObjectFileStoreTest, KeysThatNoLinkCouldReachAreRefused) {
    for (const char* key : {"../x", "a/./b", "/a"})
        EXPECT_EQ(store_.create({key, "text/csv", 0}).error().code, ErrorCode::kInvalidArgument);
}

// The server's side of Google's V4 signatures, written from the specification: the canonical
// request is made again from what arrived, and the public half verifies.
bool verifies(const Request& request, const crypto::PrivateKey& key) {
    const std::size_t question = request.target.find('?');
    std::vector<std::string> pairs;
    std::string signature_hex;
    for (std::size_t begin = question + 1; begin < request.target.size();) {
        const std::size_t end = std::min(request.target.find('&', begin), request.target.size());
        const std::string pair = request.target.substr(begin, end - begin);
        const std::string_view name = "X-Goog-Signature=";
        if (pair.starts_with(name)) {
            signature_hex = pair.substr(name.size());
        } else {
            pairs.push_back(pair);
        }
        begin = end + 1;
    }
    std::ranges::sort(pairs);
    std::string canonical = request.method + "\n" + request.target.substr(0, question) + "\n";
    for (std::size_t index = 0; index < pairs.size(); ++index)
        canonical += (index == 0 ? "" : "&") + pairs[index];
    canonical += "\n";
    const std::string names = parameter(request, "X-Goog-SignedHeaders");
    for (std::size_t begin = 0; begin < names.size();) {
        const std::size_t end = std::min(names.find(';', begin), names.size());
        const std::string name = names.substr(begin, end - begin);
        canonical += name + ":" + request.headers.at(name) + "\n";
        begin = end + 1;
    }
    canonical += "\n" + names + "\nUNSIGNED-PAYLOAD";
    const std::string date = parameter(request, "X-Goog-Date");
    const std::string to_sign = "GOOG4-RSA-SHA256\n" + date + "\n" + date.substr(0, 8) +
                                "/auto/storage/goog4_request\n" + to_hex(crypto::sha256(canonical));
    const auto signature = from_hex(signature_hex);
    return signature && key.verify(crypto::SignatureDigest::kSha256, to_sign, *signature);
}

TEST_F(ObjectFileStoreTest, GoogleTakesTheSameRequestsUnderItsOwnSignature) {
    const auto key = crypto::PrivateKey::parse(testing::kRsaKey);
    bucket_.authorized = [&](const Request& request) { return verifies(request, *key); };
    ObjectStoreDeps google = deps();
    google.store = *signing::parse_store(
        "g", {{"kind", "gcs"}, {"prefix", "gs://bucket/exports/"}, {"endpoint", server_.url()}});
    google.signing_key = [store = google.store] {
        return signing::make_signing_key(store, {"robot@p.iam", testing::kRsaKey, ""}, 0);
    };
    ObjectFileStore store(google);
    for (const std::size_t bytes : {std::size_t{100}, 2 * kPart + 9}) {
        const std::string whole = text(bytes);
        const auto file = store.create({"acme/" + std::to_string(bytes) + ".1.csv", "text/csv", 0});
        ASSERT_TRUE((*file)->append(whole));
        const auto receipt = (*file)->commit();
        ASSERT_TRUE(receipt) << receipt.error().message;
        EXPECT_TRUE(receipt->file_url.starts_with("gs://bucket/exports/acme/"));
        EXPECT_EQ(bucket_.objects.at("exports/" + receipt->key), whole);
        EXPECT_TRUE(*store.remove(receipt->key));
    }
    EXPECT_TRUE(bucket_.objects.empty());
    // The check can fail: another key is refused.
    google.signing_key = [this, store = google.store] {
        return signing::make_signing_key(store, {"GOOG", "hmac-secret", ""},
                                         clock_.unix_us() / 1'000'000);
    };
    ObjectFileStore wrong(google);
    EXPECT_EQ(wrong.remove("acme/x.1.csv").error().code, ErrorCode::kFailedPrecondition);
}

TEST(PartBytes, FollowTheEstimate) {
    constexpr std::size_t kMiB = 1024 * 1024;
    EXPECT_EQ(part_bytes_for(0, 8 * kMiB, 10'000), 8 * kMiB);
    EXPECT_EQ(part_bytes_for(40'000 * kMiB, 8 * kMiB, 10'000), 9 * kMiB);
    EXPECT_EQ(part_bytes_for(100'000 * kMiB, 8 * kMiB, 10'000), 21 * kMiB);
    EXPECT_EQ(part_bytes_for(std::uint64_t{1} << 60U, 8 * kMiB, 10'000),
              limits::kUploadPartBytesMax);
}

TEST(ParseTime, KnowsBothSpellings) {
    EXPECT_EQ(parse_time("2026-01-02T03:04:05.678Z"), 1767323045);
    EXPECT_EQ(parse_time("2026-01-02T03:04:05Z"), 1767323045);
    EXPECT_EQ(parse_time("Fri, 02 Jan 2026 03:04:05 GMT"), 1767323045);
    EXPECT_EQ(parse_time("yesterday"), 0);
}

}  // namespace
}  // namespace export_worker::files
