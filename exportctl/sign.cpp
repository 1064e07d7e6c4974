#include "exportctl/sign.hpp"

#include <map>
#include <set>

#include "base/base64.hpp"
#include "base/clock.hpp"
#include "base/crypto/private_key.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/text.hpp"
#include "signing/azure_sas.hpp"
#include "signing/cloudfront_sign.hpp"
#include "signing/gcs_presign.hpp"
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
    // An object with fields of its own; nullptr when there is none.
    Result<const json*> object(const char* name) {
        const json* value = take(name);
        if (value != nullptr && !value->is_object())
            return refuse(std::string(name) + ": expected an object");
        return value;
    }
    Result<void> finish() const {
        for (const auto& item : object_.items()) {
            if (!known_.contains(item.key()))
                return refuse(printable(item.key()) + ": this provider has no such key");
        }
        return {};
    }

    const json* any(const char* name) { return take(name); }

private:
    const json* take(const char* name) {
        known_.insert(name);
        const auto found = object_.find(name);
        return found == object_.end() || found->is_null() ? nullptr : &*found;
    }
    const json& object_;
    std::set<std::string> known_{"provider"};
};

Result<void> check_method(const std::string& method) {
    for (const char* each : {"GET", "HEAD", "PUT", "POST", "DELETE"}) {
        if (method == each) return {};
    }
    return refuse("method: expected GET, HEAD, PUT, POST or DELETE, found '" + printable(method) +
                  "'");
}

// "a" or "b" as false or true.
Result<bool> one_of(const char* name, const std::string& found, const char* a, const char* b) {
    if (found == a || found == b) return found == b;
    return refuse(std::string(name) + ": expected " + a + " or " + b + ", found '" +
                  printable(found) + "'");
}

// Seconds since 1970, or a time as text.
Result<std::int64_t> moment(Fields& fields, const char* name, bool required) {
    const json* value = fields.any(name);
    if (value == nullptr && !required) return 0;
    if (value == nullptr) return refuse(std::string(name) + ": missing");
    if (value->is_number_integer()) return value->get<std::int64_t>();
    if (value->is_string()) return parse_iso8601_seconds(value->get<std::string>());
    return refuse(std::string(name) + ": expected seconds since 1970 or YYYY-MM-DDThh:mm:ssZ");
}

json answer_of(std::string url, const std::string& canonical_request,
               const std::string& string_to_sign, bool explain) {
    json out = {{"url", std::move(url)}};
    if (!explain) return out;
    if (!canonical_request.empty()) out["canonical_request"] = canonical_request;
    out["string_to_sign"] = string_to_sign;
    return out;
}

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
    EW_CHECK(check_method(method));
    if (key.empty()) return refuse("key: expected at least one byte, found none");
    EW_TRY(const bool path, one_of("addressing", addressing, "virtual", "path"));
    EW_TRY(const std::int64_t unix_s, parse_iso8601_seconds(at));
    EW_TRY(const signing::Endpoint where,
           signing::s3_bucket_endpoint(
               endpoint, region, bucket,
               path ? signing::S3Addressing::kPath : signing::S3Addressing::kVirtual));
    signing::S3PresignRequest request;
    request.method = method;
    request.bucket = &where;
    request.key = key;
    request.region = region;
    request.access_key_id = access_key_id;
    request.session_token = token;
    request.unix_s = unix_s;
    request.expires_seconds = expires_in;
    for (const auto& [name, value] : query) request.query.emplace_back(name, value);
    const signing::SigningTime time(unix_s);
    EW_TRY(
        signing::S3Presigned signed_url,
        signing::presign_s3(request, signing::derive_sigv4_key(secret, time.day(), region, "s3")));
    return answer_of(std::move(signed_url.url), signed_url.canonical_request,
                     signed_url.string_to_sign, explain);
}

// Where the bucket is, from the fields that say so.
Result<signing::Endpoint> gcs_endpoint(Fields& fields) {
    EW_TRY(const std::string bucket, fields.text_or("bucket", ""));
    EW_TRY(const std::string style, fields.text_or("style", "path"));
    EW_TRY(const std::string scheme, fields.text_or("scheme", "https"));
    EW_TRY(const std::string bound, fields.text_or("bucket_bound_hostname", ""));
    EW_TRY(const std::string universe, fields.text_or("universe_domain", "googleapis.com"));
    EW_TRY(const bool http, one_of("scheme", scheme, "https", "http"));
    const std::string prefix = http ? "http://" : "https://";
    if (style == "bucket_bound") {
        if (bound.empty()) return refuse("bucket_bound_hostname: missing");
        return signing::gcs_bucket_endpoint(prefix + bound, bucket,
                                            signing::GcsStyle::kBucketBound);
    }
    if (style != "path" && style != "virtual") {
        return refuse("style: expected path, virtual or bucket_bound, found '" + printable(style) +
                      "'");
    }
    return signing::gcs_bucket_endpoint(
        prefix + "storage." + universe, bucket,
        style == "path" ? signing::GcsStyle::kPath : signing::GcsStyle::kVirtual);
}

Result<json> sign_gcs(const json& object, bool explain) {
    Fields fields(object);
    EW_TRY(const std::string method, fields.text_or("method", "GET"));
    EW_TRY(const signing::Endpoint where, gcs_endpoint(fields));
    EW_TRY(const std::string name, fields.text_or("object", ""));
    EW_TRY(const std::string client_email, fields.text("client_email"));
    EW_TRY(const std::string pem, fields.text("private_key_pem"));
    EW_TRY(const std::int64_t unix_s, moment(fields, "at", true));
    EW_TRY(const std::int64_t expires_in, fields.integer("expires_in"));
    EW_TRY(const auto headers, fields.texts("headers"));
    EW_TRY(const auto query, fields.texts("query"));
    EW_CHECK(fields.finish());
    EW_CHECK(check_method(method));
    EW_TRY(const crypto::PrivateKey key, crypto::PrivateKey::parse(pem));
    signing::GcsPresignRequest request;
    request.method = method;
    request.bucket = &where;
    request.object = name;
    request.access_id = client_email;
    request.unix_s = unix_s;
    request.expires_seconds = expires_in;
    for (const auto& [header, value] : headers) request.headers.emplace_back(header, value);
    for (const auto& [parameter, value] : query) request.query.emplace_back(parameter, value);
    EW_TRY(signing::GcsPresigned signed_url, signing::presign_gcs(request, key));
    return answer_of(std::move(signed_url.url), signed_url.canonical_request,
                     signed_url.string_to_sign, explain);
}

// The texts an Azure request is made of; views of them go into the request.
struct AzureTexts {
    std::map<std::string, std::string> values;
    [[nodiscard]] std::string_view operator[](const char* name) const { return values.at(name); }
};

Result<AzureTexts> read_texts(Fields& fields, std::initializer_list<const char*> required,
                              std::initializer_list<const char*> optional) {
    AzureTexts out;
    for (const char* name : required) {
        EW_TRY(out.values[name], fields.text(name));
    }
    for (const char* name : optional) {
        EW_TRY(out.values[name], fields.text_or(name, ""));
    }
    return out;
}

Result<std::string> decode_key(const char* name, std::string_view base64) {
    auto key = from_base64(base64);
    if (!key || key->empty()) return refuse(std::string(name) + ": expected base64");
    return std::move(*key);
}

signing::AzureSasRequest azure_request(const AzureTexts& texts, const AzureTexts& overrides) {
    signing::AzureSasRequest out;
    out.account = texts["account"];
    out.container = texts["container"];
    out.blob = texts["blob"];
    out.version = texts["version"];
    out.resource = texts["resource"];
    out.permissions = texts["permissions"];
    out.start = texts["start"];
    out.expiry = texts["expiry"];
    out.ip = texts["ip"];
    out.protocol = texts["protocol"];
    out.identifier = texts["identifier"];
    out.encryption_scope = texts["encryption_scope"];
    out.snapshot = texts["snapshot"];
    out.version_id = texts["version_id"];
    out.preauthorized_agent_object_id = texts["preauthorized_agent_object_id"];
    out.correlation_id = texts["correlation_id"];
    out.delegated_user_object_id = texts["delegated_user_object_id"];
    out.cache_control = overrides["cache_control"];
    out.content_disposition = overrides["content_disposition"];
    out.content_encoding = overrides["content_encoding"];
    out.content_language = overrides["content_language"];
    out.content_type = overrides["content_type"];
    return out;
}

Result<json> sign_azure(const json& object, bool explain) {
    Fields fields(object);
    EW_TRY(const AzureTexts texts,
           read_texts(
               fields, {"account", "container", "version", "resource"},
               {"account_key", "endpoint", "blob", "permissions", "start", "expiry", "ip",
                "protocol", "identifier", "encryption_scope", "snapshot", "version_id",
                "preauthorized_agent_object_id", "correlation_id", "delegated_user_object_id"}));
    const json none = json::object();
    EW_TRY(const json* given, fields.object("overrides"));
    Fields override_fields(given == nullptr ? none : *given);
    EW_TRY(const AzureTexts overrides,
           read_texts(override_fields, {},
                      {"cache_control", "content_disposition", "content_encoding",
                       "content_language", "content_type"}));
    EW_CHECK(override_fields.finish());
    EW_TRY(const json* delegation, fields.object("user_delegation_key"));
    EW_CHECK(fields.finish());

    signing::AzureSasRequest request = azure_request(texts, overrides);
    const std::string endpoint =
        texts["endpoint"].empty()
            ? "https://" + std::string(texts["account"]) + ".blob.core.windows.net"
            : std::string(texts["endpoint"]);
    EW_TRY(const signing::Endpoint where, signing::parse_endpoint(endpoint));
    request.endpoint = &where;
    signing::AzureDelegationKey key;
    AzureTexts key_texts;
    std::string secret;
    if (delegation != nullptr) {
        Fields key_fields(*delegation);
        EW_TRY(key_texts, read_texts(key_fields,
                                     {"signed_oid", "signed_tid", "signed_start", "signed_expiry",
                                      "signed_service", "signed_version", "value"},
                                     {}));
        EW_CHECK(key_fields.finish());
        key = {key_texts["signed_oid"],     key_texts["signed_tid"],
               key_texts["signed_start"],   key_texts["signed_expiry"],
               key_texts["signed_service"], key_texts["signed_version"]};
        request.delegation_key = &key;
        EW_TRY(secret, decode_key("user_delegation_key.value", key_texts["value"]));
    } else {
        EW_TRY(secret, decode_key("account_key", texts["account_key"]));
    }
    EW_TRY(signing::AzureSas signed_url, signing::sign_azure_sas(request, secret));
    return answer_of(std::move(signed_url.url), "", signed_url.string_to_sign, explain);
}

Result<json> sign_cloudfront(const json& object, bool explain) {
    Fields fields(object);
    EW_TRY(const std::string url, fields.text("url"));
    EW_TRY(const std::string policy, fields.text_or("policy", "canned"));
    EW_TRY(const std::string policy_json, fields.text_or("policy_json", ""));
    EW_TRY(const std::string resource, fields.text_or("resource", ""));
    EW_TRY(const std::int64_t expires_at, moment(fields, "expires_at", policy_json.empty()));
    EW_TRY(const std::int64_t starts_at, moment(fields, "starts_at", false));
    EW_TRY(const std::string ip, fields.text_or("ip", ""));
    EW_TRY(const std::string key_pair_id, fields.text("key_pair_id"));
    EW_TRY(const std::string pem, fields.text("private_key_pem"));
    EW_TRY(const std::string hash, fields.text_or("hash", "SHA1"));
    EW_CHECK(fields.finish());
    signing::CloudFrontRequest request;
    EW_TRY(request.custom, one_of("policy", policy, "canned", "custom"));
    EW_TRY(const bool sha256, one_of("hash", hash, "SHA1", "SHA256"));
    request.digest = sha256 ? crypto::SignatureDigest::kSha256 : crypto::SignatureDigest::kSha1;
    request.url = url;
    request.policy_json = policy_json;
    // The edge takes the URL itself for a canned policy, so a resource that says the same is none.
    request.resource = !request.custom && resource == url ? "" : std::string_view(resource);
    request.expires_unix_s = expires_at;
    request.starts_unix_s = starts_at;
    request.ip = ip;
    request.key_pair_id = key_pair_id;
    EW_TRY(const crypto::PrivateKey key, crypto::PrivateKey::parse(pem));
    EW_TRY(signing::CloudFrontSigned signed_url, signing::sign_cloudfront(request, key));
    json out = {{"url", std::move(signed_url.url)}};
    if (explain) out["policy"] = signed_url.policy;
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
    EW_TRY(const std::string store, fields.text_or("store", ""));
    EW_TRY(const std::string content_type, fields.text_or("content_type", ""));
    EW_TRY(const std::string sha256, fields.text_or("sha256", ""));
    EW_CHECK(fields.finish());
    if (expires_in < 1) return refuse("expires_in: expected at least 1");
    EW_TRY(const std::int64_t unix_s, parse_iso8601_seconds(at));
    EW_TRY(const std::string secret, from_hex(key_hex));
    EW_TRY(const signing::LocalLink link,
           signing::sign_local_link({base_url, path, key_id, secret, unix_s + expires_in, filename,
                                     store, content_type, sha256}));
    return answer_of(link.url, "", link.string_to_sign, explain);
}

Result<json> sign(std::string_view line, bool explain) {
    const json object = parse_json(line);
    if (!object.is_object()) return refuse("expected one JSON object a line");
    const json provider = object.value("provider", json());
    if (provider == "s3") return sign_s3(object, explain);
    if (provider == "gcs") return sign_gcs(object, explain);
    if (provider == "azure") return sign_azure(object, explain);
    if (provider == "cloudfront") return sign_cloudfront(object, explain);
    if (provider == "local") return sign_local(object, explain);
    return refuse("provider: expected s3, gcs, azure, cloudfront or local");
}

}  // namespace

json sign_line(std::string_view line, bool explain) {
    auto out = sign(line, explain);
    if (out) return *out;
    return {{"error", {{"code", to_string(out.error().code)}, {"message", out.error().message}}}};
}

}  // namespace export_worker::exportctl
