// One configured store as signing sees it: which file_urls are its objects, and where they answer.
//
// The file_url of an object has several spellings. Those with the store's own scheme (s3://, gs://,
// az://) carry the key's bytes as they are; those with http, https or file are percent-encoded.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "signing/endpoint.hpp"

namespace export_worker::signing {

enum class StoreKind { kLocal, kS3, kGcs, kAzure, kCloudFront };

// What to do when the credentials end before a link would.
enum class ExpiryPolicy {
    kClamp,         // The link ends with them, and says so.
    kRefuse,        // No link.
    kRefreshFirst,  // Newer credentials are fetched ahead of time; what they cannot cover is
                    // clamped.
};

// One spelling of the store's file_urls.
struct FileUrlForm {
    std::string prefix;  // "s3://bucket/", "https://bucket.s3.eu-central-1.amazonaws.com/"
    std::size_t caseless_bytes = 0;  // Of it: scheme and host.
    bool encoded = false;            // What follows is percent-encoded.
};

struct Store {
    std::string name;
    StoreKind kind = StoreKind::kLocal;
    std::vector<FileUrlForm> forms;
    std::string location;    // What the file_url of a new object starts with; the key follows.
    std::string key_prefix;  // Every key starts with it: empty, or ends with a slash.
    bool organization_prefix = true;  // Only KEY_PREFIX/ORGANIZATION/... is ever signed.
    // Where keys begin: for links, and for the daemon's own requests. They differ when the public
    // knows the store under another name.
    Endpoint public_endpoint;
    Endpoint endpoint;
    std::string bucket;    // s3, gcs: the bucket; azure: the container.
    std::string region;    // s3.
    std::string root;      // local: the directory.
    std::string registry;  // local: whose mark the root has (base/store_mark.hpp); empty: none.
    std::string base_url;  // local, cloudfront: what links start with, without a slash at the end.
    // azure
    std::string account;
    std::string sas_version;
    // cloudfront
    bool sha256 = true;
    bool forward_disposition = false;  // The cache policy forwards response-content-disposition.
    // Lifetimes of links, in seconds.
    std::int64_t link_lifetime_s = 0;
    std::int64_t link_window_s = 0;
    std::int64_t link_backdate_s = 0;
    ExpiryPolicy expiry_policy = ExpiryPolicy::kClamp;
};

// From the keys of a [store.NAME] section (docs/stores). Errors: kInvalidArgument, naming the key.
[[nodiscard]] Result<Store> parse_store(const std::string& name,
                                        const std::map<std::string, std::string>& values);

// An object of a store.
struct StoreLocation {
    const Store* store = nullptr;
    std::string key;  // Exact bytes, decoded; relative to the root (local) or the bucket.
};

// The store that owns `file_url`: of those whose forms and key prefix match, the one with the
// longest. Errors: kNotFound when there is none; kInvalidArgument for a '%' that is no encoding, a
// query or fragment in an encoded form, a key no browser can fetch, and one that is not below
// `organization_id` while the store asks for that.
[[nodiscard]] Result<StoreLocation> locate(const std::vector<Store>& stores,
                                           std::string_view file_url,
                                           std::string_view organization_id);

// The file_url of `key` in `store`.
[[nodiscard]] std::string file_url_of(const Store& store, std::string_view key);

}  // namespace export_worker::signing
