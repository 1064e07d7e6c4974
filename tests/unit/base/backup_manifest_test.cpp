#include "base/backup_manifest.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "base/json.hpp"

namespace export_worker {
namespace {

using nlohmann::json;

const std::string kHash(64, 'a');

BackupManifest manifest() {
    BackupManifest out{"0.2.0", "2026-11-27T12:00:00Z", {}};
    for (const std::string_view database : kBackupDatabases)
        out.files.push_back({std::string(database), 4096, kHash});
    out.files.push_back({"plugins/artifacts/" + kHash + ".so", 100, kHash});
    return out;
}

// Why a manifest with this change is refused.
std::string refusal(const std::function<void(json&)>& change) {
    json value = parse_json(encode_backup_manifest(manifest()));
    change(value);
    const auto parsed = parse_backup_manifest(dump_json(value));
    return parsed ? "taken" : parsed.error().message;
}

TEST(BackupManifest, IsReadAsItWasWritten) {
    const auto parsed = parse_backup_manifest(encode_backup_manifest(manifest()));
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_EQ(*parsed, manifest());
    EXPECT_EQ(parsed->bytes(), 4 * 4096 + 100);
}

TEST(BackupManifest, NamesStayInsideTheDirectory) {
    for (const std::string& name :
         {std::string("../jobs.db"), std::string("/etc/passwd"), std::string("jobs.db/"),
          std::string("plugins/artifacts/.so"), std::string("plugins/artifacts/../../x.so"),
          "plugins/artifacts/" + std::string(64, 'A') + ".so", "plugins/artifacts/" + kHash,
          "plugins/artifactsX" + kHash + ".so", std::string(kBackupManifestFile)}) {
        EXPECT_NE(refusal([&](json& value) { value["files"][4]["name"] = name; }), "taken") << name;
    }
}

TEST(BackupManifest, AnIncompleteOneIsRefused) {
    EXPECT_EQ(refusal([](json& value) { value["files"].erase(2); }),
              "files: expected auth.db, found none");
    EXPECT_EQ(refusal([](json& value) { value["files"].push_back(value["files"][0]); }),
              "files: jobs.db is there twice");
    for (const char* field : {"format", "version", "created_at", "files"})
        EXPECT_NE(refusal([&](json& value) { value.erase(field); }), "taken") << field;
    for (const char* field : {"name", "bytes", "sha256"})
        EXPECT_NE(refusal([&](json& value) { value["files"][0].erase(field); }), "taken") << field;
    EXPECT_NE(refusal([](json& value) { value["files"][0]["bytes"] = -1; }), "taken");
    EXPECT_NE(refusal([](json& value) { value["files"][0]["sha256"] = "abc"; }), "taken");
    for (const char* text : {"", "[]", "null", "{", "{}"})
        EXPECT_FALSE(parse_backup_manifest(text)) << text;
}

TEST(BackupManifest, ANewerFormatSaysSo) {
    const auto parsed = parse_backup_manifest(R"({"format": 2})");
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(parsed.error().message.find("newer version"), std::string::npos);
}

TEST(BackupManifest, WhatTheDaemonNeverWritesIsRefused) {
    const std::string good = encode_backup_manifest(manifest());
    const auto taken = [](const std::string& text) {
        return parse_backup_manifest(text).has_value();
    };
    EXPECT_FALSE(taken("\xEF\xBB\xBF" + good)) << "a byte order mark";
    EXPECT_FALSE(taken("{\"format\":1," + good.substr(1))) << "a member named twice";
    for (const json& version : {json(2), json(""), json("banana"), json("0.2.0\n"), json(nullptr)})
        EXPECT_NE(refusal([&](json& value) { value["version"] = version; }), "taken") << version;
    for (const json& format : {json("1"), json(1.5), json(0), json("one")})
        EXPECT_NE(refusal([&](json& value) { value["format"] = format; }), "taken") << format;
    EXPECT_NE(refusal([](json& value) { value["files"][4]["sha256"] = std::string(64, 'b'); }),
              "taken")
        << "a plugin file is named by its hash";
}

}  // namespace
}  // namespace export_worker
