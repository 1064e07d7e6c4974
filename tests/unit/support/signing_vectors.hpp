// The published signing vectors. Without their folder each test is skipped.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <tl/expected.hpp>

#include "base/crypto/private_key.hpp"
#include "base/json.hpp"
#include "signing/sigv4.hpp"
#include "tests/unit/support/paths.hpp"
#include "tests/unit/support/skips.hpp"

namespace export_worker::signing::vectors {

using nlohmann::json;

// The parsed file of the vectors' folder, or why the test is to be skipped.
inline tl::expected<json, std::string> read(const std::string& name) {
    if (testing::left_out("vectors"))
        return tl::unexpected(std::string(testing::kLeftOut) + "vectors");
    const std::string path = testing::vectors_directory() + "/" + name;
    std::ifstream file(path);
    if (!file) return tl::unexpected(path + " is missing; set EXPORT_WORKER_VECTORS_DIR");
    return json::parse(file);
}

inline std::string text_of(const json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() || found->is_null() ? std::string() : found->get<std::string>();
}

inline std::int64_t number_of(const json& object, const char* name) {
    return object[name].is_null() ? 0 : object[name].get<std::int64_t>();
}

// "key" of the file's "keys", each DER in base64, as PEM.
inline crypto::PrivateKey key_of(const json& file, const std::string& name) {
    const json& key = file["keys"][name];
    EXPECT_EQ(key["form"], "PKCS#8");
    return *crypto::PrivateKey::parse("-----BEGIN PRIVATE KEY-----\n" +
                                      key["der_base64"].get<std::string>() +
                                      "\n-----END PRIVATE KEY-----\n");
}

inline std::set<std::string> pairs_of(std::string_view url) {
    std::set<std::string> out;
    std::string_view query = url.substr(url.find('?') + 1);
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        out.emplace(query.substr(0, end));
        query.remove_prefix(std::min(end + 1, query.size()));
    }
    return out;
}

inline NamesAndValues views_of(const std::vector<std::pair<std::string, std::string>>& pairs) {
    NamesAndValues out;
    for (const auto& [name, value] : pairs) out.emplace_back(name, value);
    return out;
}

}  // namespace export_worker::signing::vectors
