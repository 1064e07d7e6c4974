#include "signing/store.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "signing/azure_sas.hpp"
#include "signing/gcs_presign.hpp"
#include "signing/limits.hpp"
#include "signing/object_key.hpp"
#include "signing/percent_encoding.hpp"
#include "signing/s3_presign.hpp"

namespace export_worker::signing {
namespace {

using Values = std::map<std::string, std::string>;

std::string value_of(const Values& values, const char* key, std::string_view otherwise = "") {
    const auto found = values.find(key);
    return found == values.end() ? std::string(otherwise) : found->second;
}

Result<std::int64_t> seconds_of(const Values& values, const char* key, std::int64_t otherwise) {
    const std::string text = value_of(values, key);
    if (text.empty()) return otherwise;
    const auto number = parse_unsigned(text);
    if (!number || *number > static_cast<std::uint64_t>(limits::kLinkLifetimeSecondsMax)) {
        return invalid_argument(std::string(key) + ": expected 0 to " +
                                std::to_string(limits::kLinkLifetimeSecondsMax) +
                                " seconds, found '" + printable(text) + "'");
    }
    return static_cast<std::int64_t>(*number);
}

// `index` picks among `names`.
Result<std::size_t> choice_of(const Values& values, const char* key,
                              std::initializer_list<std::string_view> names) {
    const std::string text = value_of(values, key, *names.begin());
    const auto found = std::ranges::find(names, std::string_view(text));
    if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    std::string expected;
    for (const std::string_view name : names) {
        if (!expected.empty()) expected += ", ";
        expected += name;
    }
    return invalid_argument(std::string(key) + ": expected one of " + expected + "; found '" +
                            printable(text) + "'");
}

// The host is where case does not matter: "https://HOST" of "https://HOST/bucket/".
FileUrlForm web_form(std::string prefix) {
    FileUrlForm form;
    const std::size_t host = prefix.find("://") + 3;
    form.caseless_bytes = std::min(prefix.find('/', host), prefix.size());
    form.prefix = std::move(prefix);
    form.encoded = true;
    return form;
}

FileUrlForm web_form(const Endpoint& where) {
    return web_form(where.scheme + where.host + where.path + "/");
}

// "s3://BUCKET/PATH/" taken apart; PATH/ may be missing.
Result<void> read_prefix(const Values& values, std::string_view scheme, Store& store) {
    const std::string prefix = value_of(values, "prefix");
    const std::string_view rest = std::string_view(prefix).substr(
        std::min(prefix.size(), prefix.starts_with(scheme) ? scheme.size() : prefix.size()));
    const std::size_t slash = rest.find('/');
    if (slash == 0 || slash == std::string_view::npos || !rest.ends_with('/') ||
        has_dot_segment(rest)) {
        return invalid_argument("prefix: expected " + std::string(scheme) + "NAME/ or " +
                                std::string(scheme) + "NAME/PATH/, found '" + printable(prefix) +
                                "'");
    }
    store.bucket = rest.substr(0, slash);
    store.key_prefix = rest.substr(slash + 1);
    store.location = std::string(scheme) + store.bucket + "/";
    store.forms.push_back({store.location, 0, false});
    return {};
}

Result<void> read_local(const Values& values, Store& store) {
    store.root = value_of(values, "root");
    store.registry = value_of(values, "registry");
    store.base_url = value_of(values, "base_url");
    std::string path;
    append_percent_encoded_path(path, store.root);
    path += '/';
    store.location = "file://" + path;
    store.forms.push_back({store.location, 0, true});
    store.forms.push_back(web_form("file://localhost" + path));  // The same (RFC 8089, 2).
    return {};
}

Result<void> read_s3(const Values& values, Store& store) {
    EW_CHECK(read_prefix(values, "s3://", store));
    store.region = value_of(values, "region");
    EW_TRY(const std::size_t addressing, choice_of(values, "addressing", {"virtual", "path"}));
    const S3Addressing wanted = addressing == 0 ? S3Addressing::kVirtual : S3Addressing::kPath;
    const std::string own = value_of(values, "endpoint");
    const std::string seen = value_of(values, "public_endpoint", own);
    EW_TRY(store.endpoint, s3_bucket_endpoint(own, store.region, store.bucket, wanted));
    EW_TRY(store.public_endpoint, s3_bucket_endpoint(seen, store.region, store.bucket, wanted));
    for (const std::string& endpoint : {own, seen}) {
        for (const S3Addressing each : {S3Addressing::kVirtual, S3Addressing::kPath}) {
            // An address has no virtual form; that is no reason to refuse the store.
            if (auto form = s3_bucket_endpoint(endpoint, store.region, store.bucket, each))
                store.forms.push_back(web_form(*form));
        }
    }
    if (own.empty() && !store.region.starts_with("cn-")) {
        store.forms.push_back(web_form("https://" + store.bucket + ".s3.amazonaws.com/"));
        store.forms.push_back(web_form("https://s3.amazonaws.com/" + store.bucket + "/"));
        store.forms.push_back(web_form("https://" + store.bucket + ".s3.dualstack." + store.region +
                                       ".amazonaws.com/"));
    }
    return {};
}

Result<void> read_gcs(const Values& values, Store& store) {
    EW_CHECK(read_prefix(values, "gs://", store));
    EW_TRY(const std::size_t style,
           choice_of(values, "style", {"path", "virtual", "bucket_bound"}));
    const std::string own =
        value_of(values, "endpoint",
                 "https://storage." + value_of(values, "universe_domain", "googleapis.com"));
    const std::string seen = value_of(values, "public_endpoint", own);
    const auto wanted = static_cast<GcsStyle>(style);
    if (wanted == GcsStyle::kBucketBound && value_of(values, "public_endpoint").empty())
        return invalid_argument(
            "public_endpoint: missing; style = bucket_bound needs the bucket's own host");
    // The bucket's own host is for readers; the daemon's requests name the bucket.
    EW_TRY(store.endpoint, gcs_bucket_endpoint(own, store.bucket,
                                               wanted == GcsStyle::kVirtual ? GcsStyle::kVirtual
                                                                            : GcsStyle::kPath));
    EW_TRY(store.public_endpoint, gcs_bucket_endpoint(seen, store.bucket, wanted));
    store.forms.push_back(web_form(store.public_endpoint));
    for (const GcsStyle each : {GcsStyle::kPath, GcsStyle::kVirtual}) {
        if (auto form = gcs_bucket_endpoint(own, store.bucket, each))
            store.forms.push_back(web_form(*form));
    }
    return {};
}

Result<void> read_azure(const Values& values, Store& store) {
    EW_CHECK(read_prefix(values, "az://", store));
    store.account = value_of(values, "account");
    if (store.account.empty()) return invalid_argument("account: missing");
    const std::string own =
        value_of(values, "endpoint", "https://" + store.account + ".blob.core.windows.net");
    const std::string seen = value_of(values, "public_endpoint", own);
    EW_TRY(store.endpoint, parse_endpoint(own));
    EW_TRY(store.public_endpoint, parse_endpoint(seen));
    store.sas_version = value_of(values, "sas_version", std::string(kAzureVersionDefault));
    std::string container;
    append_percent_encoded(container, store.bucket);
    for (Endpoint* each : {&store.endpoint, &store.public_endpoint}) {
        store.forms.push_back(
            web_form(each->scheme + each->host + each->path + "/" + container + "/"));
    }
    // The service's own spelling, as jobs of other workers may have it.
    store.location = store.forms[1].prefix;
    return {};
}

Result<void> read_cloudfront(const Values& values, Store& store) {
    store.base_url = value_of(values, "base_url");
    while (store.base_url.ends_with('/')) store.base_url.pop_back();
    EW_TRY(store.public_endpoint, parse_endpoint(store.base_url));
    store.base_url =
        store.public_endpoint.scheme + store.public_endpoint.host + store.public_endpoint.path;
    store.forms.push_back(web_form(store.public_endpoint));
    store.location = store.forms.front().prefix;
    // What lies at the origin under `prefix` is served below base_url.
    if (const std::string prefix = value_of(values, "prefix"); !prefix.empty()) {
        const bool web = prefix.starts_with("https://") || prefix.starts_with("http://");
        if (!prefix.ends_with('/') || prefix.find("://") == std::string::npos)
            return invalid_argument(
                "prefix: expected SCHEME://.../ with a slash at the end, found '" +
                printable(prefix) + "'");
        store.forms.push_back(web ? web_form(prefix) : FileUrlForm{prefix, 0, false});
    }
    EW_TRY(const std::size_t hash, choice_of(values, "hash", {"SHA256", "SHA1"}));
    store.sha256 = hash == 0;
    store.forward_disposition = value_of(values, "forward_disposition") == "on";
    return {};
}

Result<void> read_times(const Values& values, Store& store) {
    EW_TRY(store.link_lifetime_s,
           seconds_of(values, "link_lifetime_s", limits::kLinkLifetimeSecondsDefault));
    EW_TRY(store.link_window_s, seconds_of(values, "link_window_s", 0));
    EW_TRY(store.link_backdate_s, seconds_of(values, "link_backdate_s", 0));
    EW_TRY(const std::size_t policy,
           choice_of(values, "expiry_policy", {"clamp", "refuse", "refresh-first"}));
    store.expiry_policy = static_cast<ExpiryPolicy>(policy);
    if (store.link_lifetime_s < 1) return invalid_argument("link_lifetime_s: expected at least 1");
    const std::int64_t whole = store.link_lifetime_s + store.link_window_s + store.link_backdate_s;
    if (whole > limits::kLinkLifetimeSecondsMax) {
        return invalid_argument("link_lifetime_s: expected at most " +
                                std::to_string(limits::kLinkLifetimeSecondsMax) +
                                " seconds together with link_window_s and link_backdate_s, found " +
                                std::to_string(whole));
    }
    return {};
}

bool has_prefix(std::string_view file_url, const FileUrlForm& form) {
    if (file_url.size() < form.prefix.size()) return false;
    const std::string_view prefix = form.prefix;
    const std::size_t caseless = form.caseless_bytes;
    for (std::size_t index = 0; index < caseless; ++index) {
        const char c = file_url[index];
        const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        if (lower != prefix[index]) return false;
    }
    return file_url.substr(caseless).starts_with(prefix.substr(caseless));
}

// nullopt: not an object of this store.
Result<std::optional<std::string>> key_in(const Store& store, const FileUrlForm& form,
                                          std::string_view file_url) {
    if (!has_prefix(file_url, form)) return std::optional<std::string>();
    const std::string_view rest = file_url.substr(form.prefix.size());
    std::optional<std::string> key(rest);
    if (form.encoded) {
        if (rest.find_first_of("?#") != std::string_view::npos) {
            return invalid_argument(
                "file_url: expected the location of an object, found a query or fragment "
                "behind it; encode a '?' or '#' of its key as %3F or %23");
        }
        key = percent_decode(rest);
        if (!key) return invalid_argument("file_url: expected two hex digits behind every '%'");
    }
    if (!key->starts_with(store.key_prefix)) key.reset();
    return key;
}

Result<void> check_organization(const Store& store, std::string_view key,
                                std::string_view organization_id) {
    if (!store.organization_prefix) return {};
    const std::string_view below = key.substr(store.key_prefix.size());
    const bool own = !organization_id.empty() && below.size() > organization_id.size() + 1 &&
                     below.starts_with(organization_id) && below[organization_id.size()] == '/';
    if (own) return {};
    return invalid_argument("file_url: it is not below the organization's own prefix");
}

}  // namespace

Result<Store> parse_store(const std::string& name, const Values& values) {
    Store store;
    store.name = name;
    store.organization_prefix = value_of(values, "organization_prefix") != "off";
    EW_TRY(const std::size_t kind,
           choice_of(values, "kind", {"local", "s3", "gcs", "azure", "cloudfront"}));
    store.kind = static_cast<StoreKind>(kind);
    EW_CHECK(read_times(values, store));
    switch (store.kind) {
        case StoreKind::kLocal: EW_CHECK(read_local(values, store)); break;
        case StoreKind::kS3: EW_CHECK(read_s3(values, store)); break;
        case StoreKind::kGcs: EW_CHECK(read_gcs(values, store)); break;
        case StoreKind::kAzure: EW_CHECK(read_azure(values, store)); break;
        case StoreKind::kCloudFront: EW_CHECK(read_cloudfront(values, store)); break;
    }
    return store;
}

Result<StoreLocation> locate(const std::vector<Store>& stores, std::string_view file_url,
                             std::string_view organization_id) {
    if (file_url.size() > limits::kFileUrlBytesMax)
        return invalid_argument("file_url: expected at most " +
                                std::to_string(limits::kFileUrlBytesMax) + " bytes, found " +
                                std::to_string(file_url.size()));
    StoreLocation out;
    std::size_t longest = 0;
    for (const Store& store : stores) {
        for (const FileUrlForm& form : store.forms) {
            const std::size_t length = form.prefix.size() + store.key_prefix.size();
            if (out.store != nullptr && length <= longest) continue;
            EW_TRY(std::optional<std::string> key, key_in(store, form, file_url));
            if (!key) continue;
            out.store = &store;
            out.key = std::move(*key);
            longest = length;
        }
    }
    if (out.store == nullptr)
        return fail(ErrorCode::kNotFound, "file_url: no configured store has this prefix");
    EW_CHECK(check_object_key(out.key));
    EW_CHECK(check_organization(*out.store, out.key, organization_id));
    return out;
}

std::string file_url_of(const Store& store, std::string_view key) {
    std::string out = store.location;
    const bool encoded = std::ranges::any_of(store.forms, [&](const FileUrlForm& form) {
        return form.prefix == store.location && form.encoded;
    });
    if (encoded) {
        append_percent_encoded_path(out, key);
    } else {
        out += key;
    }
    return out;
}

}  // namespace export_worker::signing
