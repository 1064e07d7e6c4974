#include "exportctl/sign.hpp"

#include <array>
#include <map>

#include "base/base64.hpp"
#include "base/crypto/private_key.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "signing/azure_sas.hpp"
#include "signing/cloudfront_sign.hpp"
#include "signing/gcs_presign.hpp"
#include "signing/local_link.hpp"
#include "signing/s3_presign.hpp"
#include "signing/signing_time.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;

// Of a request for any provider.
JsonFields fields_of(const json& object) {
    JsonFields out(object);
    (void)out.find("provider");
    return out;
}

// An object of texts.
Result<std::vector<std::pair<std::string, std::string>>> pairs_of(JsonFields& fields,
                                                                  const char* name) {
    std::vector<std::pair<std::string, std::string>> out;
    EW_TRY(const json* const value, fields.object(name));
    if (value == nullptr) return out;
    for (const auto& item : value->items()) {
        if (!item.value().is_string()) return unexpected_value(name, "text values", item.value());
        out.emplace_back(item.key(), item.value().get<std::string>());
    }
    return out;
}

constexpr std::array<std::string_view, 5> kMethods{"GET", "HEAD", "PUT", "POST", "DELETE"};
constexpr std::array<std::string_view, 2> kAddressings{"virtual", "path"};
constexpr std::array<std::string_view, 3> kStyles{"path", "virtual", "bucket_bound"};
constexpr std::array<std::string_view, 2> kSchemes{"https", "http"};
constexpr std::array<std::string_view, 2> kPolicies{"canned", "custom"};
constexpr std::array<std::string_view, 2> kHashes{"SHA1", "SHA256"};

Result<std::string_view> method_of(JsonFields& fields) {
    EW_TRY(const std::size_t index, fields.word_or("method", kMethods, std::size_t{0}));
    return kMethods[index];
}

// Seconds since 1970, or a time as text.
Result<std::int64_t> moment(JsonFields& fields, const char* name, bool required) {
    const json* const value = fields.find(name);
    if (value == nullptr && !required) return 0;
    if (value == nullptr) return invalid_argument(std::string(name) + ": missing");
    if (value->is_number_integer()) return integer_from(*value, name);
    if (value->is_string()) return time_s_from(*value, name);
    return unexpected_value(name, "seconds since 1970 or YYYY-MM-DDThh:mm:ssZ", *value);
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
    JsonFields fields = fields_of(object);
    EW_TRY(const std::string_view method, method_of(fields));
    EW_TRY(const std::string bucket, fields.text("bucket"));
    EW_TRY(const std::string key, fields.text("key", {1, SIZE_MAX}));
    EW_TRY(const std::string region, fields.text("region"));
    EW_TRY(const std::string endpoint, fields.text_or("endpoint", ""));
    EW_TRY(const auto addressing,
           fields.word_or("addressing", kAddressings, signing::S3Addressing::kVirtual));
    EW_TRY(const std::string access_key_id, fields.text("access_key_id"));
    EW_TRY(const std::string secret, fields.text("secret_access_key"));
    EW_TRY(const std::string token, fields.text_or("session_token", ""));
    EW_TRY(const std::int64_t unix_s, fields.time_s("at"));
    EW_TRY(const std::int64_t expires_in, fields.integer("expires_in"));
    EW_TRY(const auto query, pairs_of(fields, "query"));
    EW_CHECK(fields.refuse_unknown());
    EW_TRY(const signing::Endpoint where,
           signing::s3_bucket_endpoint(endpoint, region, bucket, addressing));
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
Result<signing::Endpoint> gcs_endpoint(JsonFields& fields) {
    EW_TRY(const std::string bucket, fields.text_or("bucket", ""));
    EW_TRY(const auto style, fields.word_or("style", kStyles, signing::GcsStyle::kPath));
    EW_TRY(const bool http, fields.word_or("scheme", kSchemes, false));
    EW_TRY(const std::string bound, fields.text_or("bucket_bound_hostname", ""));
    EW_TRY(const std::string universe, fields.text_or("universe_domain", "googleapis.com"));
    const bool is_bound = style == signing::GcsStyle::kBucketBound;
    if (is_bound && bound.empty()) return invalid_argument("bucket_bound_hostname: missing");
    return signing::gcs_bucket_endpoint(
        (http ? "http://" : "https://") + (is_bound ? bound : "storage." + universe), bucket,
        style);
}

Result<json> sign_gcs(const json& object, bool explain) {
    JsonFields fields = fields_of(object);
    EW_TRY(const std::string_view method, method_of(fields));
    EW_TRY(const signing::Endpoint where, gcs_endpoint(fields));
    EW_TRY(const std::string name, fields.text_or("object", ""));
    EW_TRY(const std::string client_email, fields.text("client_email"));
    EW_TRY(const std::string pem, fields.text("private_key_pem"));
    EW_TRY(const std::int64_t unix_s, moment(fields, "at", true));
    EW_TRY(const std::int64_t expires_in, fields.integer("expires_in"));
    EW_TRY(const auto headers, pairs_of(fields, "headers"));
    EW_TRY(const auto query, pairs_of(fields, "query"));
    EW_CHECK(fields.refuse_unknown());
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

Result<AzureTexts> read_texts(JsonFields& fields, std::initializer_list<const char*> required,
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
    if (!key || key->empty()) return invalid_argument(std::string(name) + ": expected base64");
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
    JsonFields fields = fields_of(object);
    EW_TRY(const AzureTexts texts,
           read_texts(
               fields, {"account", "container", "version", "resource"},
               {"account_key", "endpoint", "blob", "permissions", "start", "expiry", "ip",
                "protocol", "identifier", "encryption_scope", "snapshot", "version_id",
                "preauthorized_agent_object_id", "correlation_id", "delegated_user_object_id"}));
    const json none = json::object();
    EW_TRY(const json* given, fields.object("overrides"));
    JsonFields override_fields(given == nullptr ? none : *given, "overrides.");
    EW_TRY(const AzureTexts overrides,
           read_texts(override_fields, {},
                      {"cache_control", "content_disposition", "content_encoding",
                       "content_language", "content_type"}));
    EW_CHECK(override_fields.refuse_unknown());
    EW_TRY(const json* delegation, fields.object("user_delegation_key"));
    EW_CHECK(fields.refuse_unknown());

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
        JsonFields key_fields(*delegation, "user_delegation_key.");
        EW_TRY(key_texts, read_texts(key_fields,
                                     {"signed_oid", "signed_tid", "signed_start", "signed_expiry",
                                      "signed_service", "signed_version", "value"},
                                     {}));
        EW_CHECK(key_fields.refuse_unknown());
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
    JsonFields fields = fields_of(object);
    EW_TRY(const std::string url, fields.text("url"));
    signing::CloudFrontRequest request;
    EW_TRY(request.custom, fields.word_or("policy", kPolicies, false));
    EW_TRY(const std::string policy_json, fields.text_or("policy_json", ""));
    EW_TRY(const std::string resource, fields.text_or("resource", ""));
    EW_TRY(const std::int64_t expires_at, moment(fields, "expires_at", policy_json.empty()));
    EW_TRY(const std::int64_t starts_at, moment(fields, "starts_at", false));
    EW_TRY(const std::string ip, fields.text_or("ip", ""));
    EW_TRY(const std::string key_pair_id, fields.text("key_pair_id"));
    EW_TRY(const std::string pem, fields.text("private_key_pem"));
    EW_TRY(request.digest, fields.word_or("hash", kHashes, crypto::SignatureDigest::kSha1));
    EW_CHECK(fields.refuse_unknown());
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
    JsonFields fields = fields_of(object);
    EW_TRY(const std::string base_url, fields.text("base_url"));
    EW_TRY(const std::string path, fields.text("path"));
    EW_TRY(const std::string key_id, fields.text("key_id"));
    EW_TRY(const std::string key_hex, fields.text("key_hex"));
    EW_TRY(const std::int64_t unix_s, fields.time_s("at"));
    EW_TRY(const std::int64_t expires_in, fields.integer("expires_in", {1, INT64_MAX}));
    EW_TRY(const std::string filename, fields.text("filename"));
    EW_TRY(const std::string store, fields.text_or("store", ""));
    EW_TRY(const std::string content_type, fields.text_or("content_type", ""));
    EW_TRY(const std::string sha256, fields.text_or("sha256", ""));
    EW_CHECK(fields.refuse_unknown());
    EW_TRY(const std::string secret, from_hex(key_hex));
    EW_TRY(const signing::LocalLink link,
           signing::sign_local_link({base_url, path, key_id, secret, unix_s + expires_in, filename,
                                     store, content_type, sha256}));
    return answer_of(link.url, "", link.string_to_sign, explain);
}

Result<json> sign(std::string_view line, bool explain) {
    const json object = parse_json(line);
    if (!object.is_object())
        return invalid_argument("expected one JSON object a line, found " + kind_of(object));
    constexpr std::array<std::string_view, 5> kProviders{"s3", "gcs", "azure", "cloudfront",
                                                         "local"};
    constexpr std::array<decltype(&sign_s3), 5> kSigners{sign_s3, sign_gcs, sign_azure,
                                                         sign_cloudfront, sign_local};
    EW_TRY(const std::size_t provider,
           word_from(object.value("provider", json()), "provider", kProviders));
    return kSigners[provider](object, explain);
}

json error_answer(const Error& error) {
    return {{"error", {{"code", to_string(error.code)}, {"message", error.message}}}};
}

}  // namespace

json sign_line(std::string_view line, bool explain) {
    auto out = sign(line, explain);
    if (out) return *out;
    return error_answer(out.error());
}

json sign_error(std::string what) {
    return error_answer({ErrorCode::kInvalidArgument, std::move(what)});
}

}  // namespace export_worker::exportctl
