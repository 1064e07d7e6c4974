#include "plugins/download_url/store.hpp"

#include <algorithm>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::download_url {
namespace {

constexpr std::string_view kFamily = "store.";

Result<Store> make_store(const std::string& name,
                         const std::map<std::string, std::string>& values) {
    const auto value = [&](const char* key) {
        const auto found = values.find(key);
        return found == values.end() ? std::string() : found->second;
    };
    Store store;
    store.name = name;
    const auto lifetime = parse_unsigned(value("link_lifetime_s"));
    store.link_lifetime_s =
        lifetime ? static_cast<std::int64_t>(*lifetime) : limits::kLinkLifetimeSecondsDefault;
    store.organization_prefix = value("organization_prefix") != "off";
    if (value("kind") == "local") {
        store.root = value("root");
        store.base_url = value("base_url");
        store.prefix = "file://";
        signing::append_percent_encoded_path(store.prefix, store.root);
        store.prefix += '/';
        return store;
    }
    if (value("kind") == "s3") {
        store.kind = Store::Kind::kS3;
        store.prefix = value("prefix");
        store.region = value("region");
        store.endpoint =
            value("public_endpoint").empty() ? value("endpoint") : value("public_endpoint");
        store.addressing = value("addressing") == "path" ? signing::S3Addressing::kPath
                                                         : signing::S3Addressing::kVirtual;
        return store;
    }
    return fail(ErrorCode::kInvalidArgument,
                "[store." + name + "] kind: expected local or s3, found '" + value("kind") + "'");
}

}  // namespace

Result<std::vector<Store>> read_stores(
    const std::map<std::string, std::string, std::less<>>& config) {
    std::map<std::string, std::map<std::string, std::string>> by_name;
    for (const auto& [key, value] : config) {
        const std::size_t dot = key.rfind('.');
        if (!key.starts_with(kFamily) || dot <= kFamily.size()) continue;
        by_name[key.substr(kFamily.size(), dot - kFamily.size())][key.substr(dot + 1)] = value;
    }
    std::vector<Store> stores;
    for (const auto& [name, values] : by_name) {
        EW_TRY(Store store, make_store(name, values));
        stores.push_back(std::move(store));
    }
    std::ranges::sort(
        stores, [](const Store& a, const Store& b) { return a.prefix.size() > b.prefix.size(); });
    return stores;
}

const Store* match_store(const std::vector<Store>& stores, std::string_view file_url) {
    const auto found = std::ranges::find_if(
        stores, [&](const Store& store) { return file_url.starts_with(store.prefix); });
    return found == stores.end() ? nullptr : &*found;
}

}  // namespace export_worker::download_url
