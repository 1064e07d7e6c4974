#include "exportctl/sign.hpp"

#include <set>
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "base/hex.hpp"
#include "base/text.hpp"
#include "signing/local_link.hpp"
#include "signing/s3_presign.hpp"
#include "signing/signing_time.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;

tl::unexpected<Error> refuse(std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what));
}

// The fields of one request. Absent and null mean the same; a field nobody asked for is an error.
class Fields {
public:
    explicit Fields(const json& object) : object_(object) {}

    Result<std::string> text(const char* name) {
        const json* value = take(name);
        if (value == nullptr) return refuse(std::string(name) + ": missing");
        if (!value->is_string()) return refuse(std::string(name) + ": expected text");
        return value->get<std::string>();
    }
    Result<std::string> text_or(const char* name, std::string otherwise) {
        if (take(name) == nullptr) return otherwise;
        return text(name);
    }
    Result<std::int64_t> integer(const char* name) {
        const json* value = take(name);
        if (value == nullptr) return refuse(std::string(name) + ": missing");
        if (!value->is_number_integer())
            return refuse(std::string(name) + ": expected a whole number");
        return value->get<std::int64_t>();
    }
    Result<std::vector<std::pair<std::string, std::string>>> texts(const char* name) {
        std::vector<std::pair<std::string, std::string>> out;
        const json* value = take(name);
        if (value == nullptr) return out;
        if (!value->is_object()) return refuse(std::string(name) + ": expected an object");
        for (const auto& item : value->items()) {
            if (!item.value().is_string())
                return refuse(std::string(name) + ": expected text values");
            out.emplace_back(item.key(), item.value().get<std::string>());
        }
        return out;
    }
    Result<void> finish() const {
        for (const auto& item : object_.items()) {
            if (!known_.contains(item.key()))
                return refuse(printable(item.key()) + ": this provider has no such key");
        }
        return {};
    }

private:
    const json* take(const char* name) {
        known_.insert(name);
        const auto found = object_.find(name);
        return found == object_.end() || found->is_null() ? nullptr : &*found;
    }
    const json& object_;
    std::set<std::string> known_{"provider"};
};

Result<json> sign_s3(const json& object, bool explain) {
    Fields fields(object);
    EW_TRY(const std::string method, fields.text_or("method", "GET"));
    EW_TRY(const std::string bucket, fields.text("bucket"));
    EW_TRY(const std::string key, fields.text("key"));
    EW_TRY(const std::string region, fields.text("region"));
    EW_TRY(const std::string endpoint, fields.text_or("endpoint", ""));
    EW_TRY(const std::string addressing, fields.text_or("addressing", "virtual"));
    EW_TRY(const std::string access_key_id, fields.text("access_key_id"));
    EW_TRY(const std::string secret, fields.text("secret_access_key"));
    EW_TRY(const std::string token, fields.text_or("session_token", ""));
    EW_TRY(const std::string at, fields.text("at"));
    EW_TRY(const std::int64_t expires_in, fields.integer("expires_in"));
    EW_TRY(const auto query, fields.texts("query"));
    EW_CHECK(fields.finish());
    if (addressing != "virtual" && addressing != "path")
        return refuse("addressing: expected virtual or path");
    if (method != "GET" && method != "HEAD" && method != "PUT")
        return refuse("method: expected GET, HEAD or PUT");
    EW_TRY(const std::int64_t unix_s, parse_iso8601_seconds(at));
    signing::S3PresignRequest request;
    request.method = method;
    request.bucket = bucket;
    request.key = key;
    request.region = region;
    request.endpoint = endpoint;
    request.addressing =
        addressing == "path" ? signing::S3Addressing::kPath : signing::S3Addressing::kVirtual;
    request.access_key_id = access_key_id;
    request.session_token = token;
    request.unix_s = unix_s;
    request.expires_seconds = expires_in;
    for (const auto& [name, value] : query) request.query.emplace_back(name, value);
    const signing::SigningTime time(unix_s);
    EW_TRY(
        const signing::S3Presigned signed_url,
        signing::presign_s3(request, signing::derive_sigv4_key(secret, time.day(), region, "s3")));
    json out = {{"url", signed_url.url}};
    if (explain) {
        out["canonical_request"] = signed_url.canonical_request;
        out["string_to_sign"] = signed_url.string_to_sign;
    }
    return out;
}

Result<json> sign_local(const json& object, bool explain) {
    Fields fields(object);
    EW_TRY(const std::string base_url, fields.text("base_url"));
    EW_TRY(const std::string path, fields.text("path"));
    EW_TRY(const std::string key_id, fields.text("key_id"));
    EW_TRY(const std::string key_hex, fields.text("key_hex"));
    EW_TRY(const std::string at, fields.text("at"));
    EW_TRY(const std::int64_t expires_in, fields.integer("expires_in"));
    EW_TRY(const std::string filename, fields.text("filename"));
    EW_CHECK(fields.finish());
    if (expires_in < 1) return refuse("expires_in: expected at least 1");
    EW_TRY(const std::int64_t unix_s, parse_iso8601_seconds(at));
    EW_TRY(const std::string secret, from_hex(key_hex));
    EW_TRY(
        const signing::LocalLink link,
        signing::sign_local_link({base_url, path, key_id, secret, unix_s + expires_in, filename}));
    json out = {{"url", link.url}};
    if (explain) out["string_to_sign"] = link.string_to_sign;
    return out;
}

Result<json> sign(std::string_view line, bool explain) {
    const json object = json::parse(line.begin(), line.end(), nullptr, false);
    if (!object.is_object()) return refuse("expected one JSON object a line");
    const json provider = object.value("provider", json());
    if (provider == "s3") return sign_s3(object, explain);
    if (provider == "local") return sign_local(object, explain);
    return refuse("provider: expected s3 or local");
}

}  // namespace

json sign_line(std::string_view line, bool explain) {
    auto out = sign(line, explain);
    if (out) return *out;
    return {{"error", {{"code", to_string(out.error().code)}, {"message", out.error().message}}}};
}

}  // namespace export_worker::exportctl
