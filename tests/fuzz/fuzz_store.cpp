// file_urls and store settings from strangers: what is located is signed or refused with a reason,
// and what is signed keeps to the store and the organization.
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "signing/content_disposition.hpp"
#include "signing/endpoint.hpp"
#include "signing/store.hpp"
#include "signing/store_link.hpp"
#include "tests/unit/support/test_keys.hpp"

using namespace export_worker;
using namespace export_worker::signing;

namespace {

void check(bool good) {
    if (!good) std::abort();
}

std::vector<Store> make_stores() {
    std::vector<Store> out;
    const std::vector<std::map<std::string, std::string>> all{
        {{"kind", "s3"}, {"prefix", "s3://bucket/deep/"}, {"region", "eu-central-1"}},
        {{"kind", "gcs"}, {"prefix", "gs://bucket/"}},
        {{"kind", "azure"}, {"prefix", "az://exports/"}, {"account", "acct"}},
        {{"kind", "cloudfront"}, {"base_url", "https://d1.cloudfront.net"}},
        {{"kind", "local"}, {"root", "/srv"}, {"base_url", "https://h"}}};
    for (const auto& values : all) out.push_back(*parse_store("s", values));
    return out;
}

SigningKey key_for(const Store& store) {
    const bool pem = store.kind == StoreKind::kCloudFront;
    return *make_signing_key(
        store, {"id+/=", pem ? testing::kEcKey : "c2VjcmV0c2VjcmV0c2VjcmV0", "tok/+="},
        1'700'000'000);
}

// A URL that a client can send: printable ASCII without blanks or quotes.
void check_url(const std::string& url) {
    for (const char c : url)
        check(c > 0x20 && c < 0x7f && c != '"' && c != '<' && c != '>' && c != '\\');
    check(url.starts_with("https://"));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    static const std::vector<Store> stores = make_stores();
    static const std::vector<SigningKey> keys = [] {
        std::vector<SigningKey> out;
        for (const Store& store : stores) out.push_back(key_for(store));
        return out;
    }();
    const std::string text(reinterpret_cast<const char*>(data), size);
    std::vector<std::string> urls{text};
    for (const Store& store : stores)
        urls.push_back(store.location + store.key_prefix + "acme/" + text);
    for (const std::string& url : urls) {
        const auto location = locate(stores, url, "acme");
        if (!location) continue;
        check(location->key.starts_with(location->store->key_prefix + "acme/"));
        StoreLinkRequest request;
        request.key = location->key;
        request.times = {1'700'000'000, 1'700'000'900};
        const std::string disposition = content_disposition(text);
        request.disposition = disposition;
        request.filename = "f";
        const auto link = sign_store_link(
            *location->store, keys[static_cast<std::size_t>(location->store - stores.data())],
            request);
        if (link) check_url(link->url);
        // What is written for a key reads back as that key.
        const auto again = locate(stores, file_url_of(*location->store, location->key), "acme");
        if (again) check(again->key == location->key);
    }
    if (const auto endpoint = parse_endpoint(text)) {
        check(!endpoint->host.empty() && !endpoint->path.ends_with('/'));
        check(parse_endpoint(endpoint->scheme + endpoint->host).has_value());
    }
    for (const char* kind : {"s3", "gcs", "azure", "cloudfront"}) {
        for (const char* key : {"prefix", "endpoint", "public_endpoint", "base_url", "region",
                                "account", "link_window_s", "style"}) {
            std::map<std::string, std::string> values{{"kind", kind},
                                                      {"prefix", "s3://bucket/"},
                                                      {"region", "r"},
                                                      {"account", "a"},
                                                      {"base_url", "https://h"}};
            values[key] = text;
            (void)parse_store("s", values);
        }
    }
    return 0;
}
