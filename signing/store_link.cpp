#include "signing/store_link.hpp"

#include "base/base64.hpp"
#include "signing/azure_sas.hpp"
#include "signing/cloudfront_sign.hpp"
#include "signing/gcs_presign.hpp"
#include "signing/limits.hpp"
#include "signing/local_link.hpp"
#include "signing/percent_encoding.hpp"
#include "signing/s3_presign.hpp"
#include "signing/signing_time.hpp"

namespace export_worker::signing {
namespace {

using PrivateKeyPointer = std::shared_ptr<const crypto::PrivateKey>;

constexpr std::string_view kDispositionOverride = "response-content-disposition";

bool is_pem(std::string_view secret) {
    return secret.find("-----BEGIN") != std::string_view::npos;
}

Result<PrivateKeyPointer> parse_private_key(std::string_view pem) {
    EW_TRY(crypto::PrivateKey key, crypto::PrivateKey::parse(pem));
    return std::make_shared<const crypto::PrivateKey>(std::move(key));
}

NamesAndValues with_disposition(const StoreLinkRequest& request) {
    NamesAndValues out = request.query;
    if (!request.disposition.empty()) out.emplace_back(kDispositionOverride, request.disposition);
    return out;
}

Result<StoreLink> sign_s3(const Store& store, const SigningKey& key,
                          const StoreLinkRequest& request) {
    S3PresignRequest presign;
    presign.method = request.method;
    presign.bucket = request.endpoint;
    presign.key = request.key;
    presign.region = store.region;
    presign.access_key_id = key.key_id;
    presign.session_token = key.session_token;
    presign.unix_s = request.times.signed_unix_s;
    presign.expires_seconds = request.times.signed_lifetime_s();
    presign.query = with_disposition(request);
    presign.headers = request.headers;
    EW_TRY(S3Presigned signed_url, presign_s3(presign, std::get<SigV4Key>(key.material)));
    return StoreLink{std::move(signed_url.url), std::move(signed_url.canonical_request),
                     std::move(signed_url.string_to_sign)};
}

Result<StoreLink> sign_gcs(const SigningKey& key, const StoreLinkRequest& request) {
    GcsPresignRequest presign;
    presign.method = request.method;
    presign.bucket = request.endpoint;
    presign.object = request.key;
    presign.access_id = key.key_id;
    presign.unix_s = request.times.signed_unix_s;
    presign.expires_seconds = request.times.signed_lifetime_s();
    presign.query = with_disposition(request);
    presign.headers = request.headers;
    const auto* rsa = std::get_if<PrivateKeyPointer>(&key.material);
    EW_TRY(GcsPresigned signed_url, rsa != nullptr
                                        ? presign_gcs(presign, **rsa)
                                        : presign_gcs(presign, std::get<SigV4Key>(key.material)));
    return StoreLink{std::move(signed_url.url), std::move(signed_url.canonical_request),
                     std::move(signed_url.string_to_sign)};
}

Result<StoreLink> sign_azure(const Store& store, const SigningKey& key,
                             const StoreLinkRequest& request) {
    const auto expiry = SigningTime(request.times.expires_unix_s).iso8601();
    AzureSasRequest sas;
    sas.account = store.account;
    sas.endpoint = request.endpoint;
    sas.container = store.bucket;
    sas.blob = request.key;
    sas.version = store.sas_version;
    sas.resource = request.resource;
    sas.permissions = request.permissions;
    sas.expiry = {expiry.data(), expiry.size()};
    // What may travel encrypted travels no other way.
    sas.protocol = request.endpoint->scheme == "https://" ? "https" : "https,http";
    sas.content_disposition = request.disposition;
    EW_TRY(AzureSas signed_url, sign_azure_sas(sas, std::get<std::string>(key.material)));
    for (const auto& [name, value] : request.query) {
        signed_url.url += '&';
        append_percent_encoded(signed_url.url, name);
        signed_url.url += '=';
        append_percent_encoded(signed_url.url, value);
    }
    return StoreLink{std::move(signed_url.url), "", std::move(signed_url.string_to_sign)};
}

Result<StoreLink> sign_cdn(const Store& store, const SigningKey& key,
                           const StoreLinkRequest& request) {
    std::string url;
    url.reserve(256 + request.key.size());
    url += store.base_url;
    url += '/';
    append_percent_encoded_path(url, request.key);
    if (store.forward_disposition && !request.disposition.empty()) {
        url += '?';
        url += kDispositionOverride;
        url += '=';
        append_percent_encoded(url, request.disposition);
    }
    CloudFrontRequest presign;
    presign.url = url;
    presign.expires_unix_s = request.times.expires_unix_s;
    presign.key_pair_id = key.key_id;
    presign.digest =
        store.sha256 ? crypto::SignatureDigest::kSha256 : crypto::SignatureDigest::kSha1;
    EW_TRY(CloudFrontSigned signed_url,
           sign_cloudfront(presign, *std::get<PrivateKeyPointer>(key.material)));
    return StoreLink{std::move(signed_url.url), "", std::move(signed_url.policy)};
}

Result<StoreLink> sign_local(const Store& store, const SigningKey& key,
                             const StoreLinkRequest& request) {
    LocalLinkRequest local;
    local.base_url = store.base_url;
    local.path = request.key;
    local.key_id = key.key_id;
    local.secret = std::get<std::string>(key.material);
    local.expires_unix_s = request.times.expires_unix_s;
    local.filename = request.filename;
    local.store = store.name;
    local.content_type = request.content_type;
    local.sha256_hex = request.sha256_hex;
    EW_TRY(LocalLink link, sign_local_link(local));
    return StoreLink{std::move(link.url), "", std::move(link.string_to_sign)};
}

}  // namespace

std::int64_t lifetime_max_s(const Store& store) {
    const bool bounded = store.kind == StoreKind::kS3 || store.kind == StoreKind::kGcs;
    return bounded ? limits::kLinkLifetimeSecondsMax : 0;
}

Result<SigningKey> make_signing_key(const Store& store, const StoreCredentials& credentials,
                                    std::int64_t unix_s) {
    SigningKey out;
    out.key_id = credentials.key_id;
    out.session_token = credentials.session_token;
    const auto derive = [&](std::string_view region, std::string_view service,
                            const SigV4Dialect& dialect) {
        const SigningTime time(unix_s);
        out.material = derive_sigv4_key(credentials.secret, time.day(), region, service, dialect);
        out.day = time.day();
    };
    switch (store.kind) {
        case StoreKind::kLocal: out.material = std::string(credentials.secret); break;
        case StoreKind::kS3: derive(store.region, "s3", kAwsHmac); break;
        case StoreKind::kGcs:
            if (!is_pem(credentials.secret)) {
                derive("auto", "storage", kGoogleHmac);
                break;
            }
            [[fallthrough]];
        case StoreKind::kCloudFront: {
            EW_TRY(out.material, parse_private_key(credentials.secret));
            break;
        }
        case StoreKind::kAzure: {
            auto key = from_base64(credentials.secret);
            if (!key || key->empty())
                return fail(ErrorCode::kInvalidArgument,
                            "account key: expected base64, found something else");
            out.material = std::move(*key);
            break;
        }
    }
    return out;
}

Result<StoreLink> sign_store_link(const Store& store, const SigningKey& key,
                                  const StoreLinkRequest& request) {
    StoreLinkRequest with_endpoint = request;
    if (request.endpoint == nullptr) with_endpoint.endpoint = &store.public_endpoint;
    switch (store.kind) {
        case StoreKind::kS3: return sign_s3(store, key, with_endpoint);
        case StoreKind::kGcs: return sign_gcs(key, with_endpoint);
        case StoreKind::kAzure: return sign_azure(store, key, with_endpoint);
        case StoreKind::kCloudFront: return sign_cdn(store, key, with_endpoint);
        case StoreKind::kLocal: break;
    }
    return sign_local(store, key, with_endpoint);
}

}  // namespace export_worker::signing
