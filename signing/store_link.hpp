// A signed URL for an object of a store, whatever its kind.
//
// Two steps, because the first is worth keeping: credentials become a SigningKey once a version
// (and once a day for S3 and HMAC keys of Google), and every link costs one signature.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>

#include "base/crypto/private_key.hpp"
#include "base/result.hpp"
#include "signing/link_times.hpp"
#include "signing/sigv4.hpp"
#include "signing/store.hpp"

namespace export_worker::signing {

// What a store's credentials are: see docs/stores for each kind.
struct StoreCredentials {
    std::string_view key_id;  // Access key id, service account, account, key pair id, key id.
    std::string_view secret;  // Secret key, private key in PEM, base64 account key, HMAC secret.
    std::string_view session_token;
};

// Constant: [any-thread].
struct SigningKey {
    std::string key_id;
    std::string session_token;
    // s3 and HMAC keys of gcs: derived for `day`; gcs, cloudfront: a private key; azure: the
    // account key's bytes; local: the HMAC secret.
    std::variant<SigV4Key, std::shared_ptr<const crypto::PrivateKey>, std::string> material;
    std::string day;  // Of the signing time the key is good for; empty: any.
};

// `unix_s` is the time to sign with. Errors: kInvalidArgument for a secret that is not what the
// kind of store needs; never repeats it.
[[nodiscard]] Result<SigningKey> make_signing_key(const Store& store,
                                                  const StoreCredentials& credentials,
                                                  std::int64_t unix_s);

struct StoreLinkRequest {
    std::string_view method = "GET";
    const Endpoint* endpoint = nullptr;  // Default: the store's public one.
    std::string_view key;
    LinkTimes times;
    std::string_view disposition;        // Value of Content-Disposition; empty: the object's own.
    std::string_view filename;           // local: instead of `disposition`.
    std::string_view content_type;       // local; empty: not known.
    std::string_view sha256_hex;         // local: of the file; empty: not known.
    std::string_view permissions = "r";  // azure: letters of the grant.
    std::string_view resource = "b";     // azure: b, or c for the container.
    NamesAndValues query;                // s3, gcs: signed. azure: appended behind the signature.
    NamesAndValues headers;              // s3, gcs: signed; must be sent.
};

struct StoreLink {
    std::string url;
    std::string canonical_request;  // s3 and gcs.
    std::string string_to_sign;     // cloudfront: the policy.
};

// What a lifetime may be at most for what signs this store's links; 0: no bound.
[[nodiscard]] std::int64_t lifetime_max_s(const Store& store);

// Errors: kInvalidArgument; those of the kind's own signer.
[[nodiscard]] Result<StoreLink> sign_store_link(const Store& store, const SigningKey& key,
                                                const StoreLinkRequest& request);

}  // namespace export_worker::signing
