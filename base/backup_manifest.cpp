#include "base/backup_manifest.hpp"

#include <algorithm>
#include <set>

#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"

namespace export_worker {
namespace {

using nlohmann::json;

constexpr std::int64_t kFormat = 1;

bool is_sha256(std::string_view text) {
    return text.size() == 64 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

bool is_plugin_file(std::string_view name) {
    constexpr std::string_view kEnd = ".so";
    if (!name.starts_with(kBackupPluginsDirectory) || !name.ends_with(kEnd)) return false;
    name.remove_prefix(kBackupPluginsDirectory.size());
    return name.starts_with('/') && name.size() > kEnd.size() &&
           is_sha256(name.substr(1, name.size() - 1 - kEnd.size()));
}

// `name` passed is_plugin_file().
std::string_view hash_in_name(std::string_view name) {
    return name.substr(kBackupPluginsDirectory.size() + 1, 64);
}

// "0.2.0", and what Debian may put behind it.
bool is_version(std::string_view text) {
    constexpr std::string_view kDigits = "0123456789";
    return !text.empty() && text.size() <= 64 && kDigits.find(text[0]) != std::string_view::npos &&
           text.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyz.+~-") ==
               std::string_view::npos;
}

bool is_database(std::string_view name) {
    return std::ranges::find(kBackupDatabases, name) != kBackupDatabases.end();
}

Result<BackupFile> file_from(const json& value) {
    JsonFields fields(value, "files.");
    BackupFile out;
    EW_TRY(out.name, fields.text("name"));
    EW_TRY(out.bytes, fields.integer("bytes", {0, INT64_MAX}));
    EW_TRY(out.sha256, fields.text("sha256"));
    if (!is_database(out.name) && !is_plugin_file(out.name))
        return fail(ErrorCode::kInvalidArgument, "files.name: expected a database or " +
                                                     std::string(kBackupPluginsDirectory) +
                                                     "/SHA256.so, found another name");
    if (!is_sha256(out.sha256))
        return fail(ErrorCode::kInvalidArgument, "files.sha256: expected 64 hex digits");
    if (is_plugin_file(out.name) && hash_in_name(out.name) != out.sha256)
        return fail(ErrorCode::kInvalidArgument, "files.sha256: expected the hash in the name " +
                                                     out.name + ", found " + out.sha256);
    return out;
}

Result<void> check_names(const std::vector<BackupFile>& files) {
    std::set<std::string_view> names;
    for (const BackupFile& file : files) {
        if (!names.insert(file.name).second)
            return fail(ErrorCode::kInvalidArgument, "files: " + file.name + " is there twice");
    }
    for (const std::string_view database : kBackupDatabases) {
        if (!names.contains(database))
            return fail(ErrorCode::kInvalidArgument,
                        "files: expected " + std::string(database) + ", found none");
    }
    return {};
}

}  // namespace

std::int64_t BackupManifest::bytes() const {
    std::int64_t sum = 0;
    for (const BackupFile& file : files) sum += file.bytes;
    return sum;
}

std::string encode_backup_manifest(const BackupManifest& manifest) {
    json files = json::array();
    for (const BackupFile& file : manifest.files)
        files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
    return dump_json({{"format", kFormat},
                      {"version", manifest.version},
                      {"created_at", manifest.created_at},
                      {"files", std::move(files)}}) +
           "\n";
}

Result<BackupManifest> parse_backup_manifest(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF"))
        return fail(ErrorCode::kInvalidArgument,
                    "expected JSON as the daemon wrote it, found a byte order mark in front");
    constexpr JsonBounds kBounds{4, limits::kBackupFilesMax * 4 + 8, true};
    EW_TRY(const json value, parse_json(text, kBounds));
    EW_CHECK(check_object(value, "manifest"));
    JsonFields fields(value);
    EW_TRY(const std::int64_t format, fields.integer("format", {1, INT64_MAX}));
    if (format > kFormat)
        return fail(ErrorCode::kFailedPrecondition,
                    "format: expected 1, found " + std::to_string(format) +
                        "; it was written by a newer version of this program: install that "
                        "version");
    BackupManifest out;
    EW_TRY(out.version, fields.text("version"));
    if (!is_version(out.version))
        return fail(
            ErrorCode::kInvalidArgument,
            "version: expected a version such as 0.2.0, found '" + printable(out.version) + "'");
    EW_TRY(out.created_at, fields.text("created_at"));
    EW_TRY(const json* const files, fields.array("files", {1, limits::kBackupFilesMax}));
    if (files == nullptr)
        return fail(ErrorCode::kInvalidArgument, "files: expected a list, found none");
    for (const json& each : *files) {
        EW_TRY(BackupFile file, file_from(each));
        out.files.push_back(std::move(file));
    }
    EW_CHECK(check_names(out.files));
    return out;
}

}  // namespace export_worker
