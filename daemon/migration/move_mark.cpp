#include "daemon/migration/move_mark.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/io.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/unique_fd.hpp"
#include "daemon/migration/limits.hpp"

namespace export_worker::migration {
namespace {

using nlohmann::json;

constexpr std::array kFiles{SourceFile::kJobs, SourceFile::kCatalog, SourceFile::kAuth};

tl::unexpected<Error> unreadable(const std::string& path) {
    return fail(ErrorCode::kDataLoss,
                path +
                    ": expected what exportctl migrate has written, found something else; "
                    "restore the file from a backup of the directory");
}

std::string directory_of(const std::string& path) {
    return std::filesystem::path(path).parent_path().string();
}

}  // namespace

Result<std::optional<MoveMark>> read_move_mark(const std::string& path) {
    std::error_code ignored;
    if (!std::filesystem::exists(std::filesystem::symlink_status(path, ignored)))
        return std::optional<MoveMark>();
    EW_TRY(const std::string text, read_file(path, limits::kMoveMarkBytesMax));
    const json from = parse_json(text);
    if (!from.is_object() || !from.contains("schema_versions") ||
        !from["schema_versions"].is_object())
        return unreadable(path);
    const auto text_of = [&](const char* name) { return text_in(from, name).value_or(""); };
    MoveMark out{
        text_of("move_id"), text_of("registry_id"), text_of("schema"), text_of("moved_at"), {}};
    for (const SourceFile file : kFiles) {
        const auto& versions = from["schema_versions"];
        const auto version = versions.find(name_of(file));
        if (version == versions.end() || !version->is_number_integer()) return unreadable(path);
        out.schema_versions[static_cast<std::size_t>(file)] = version->get<std::int64_t>();
    }
    if (out.move_id.empty()) return unreadable(path);
    return std::optional(std::move(out));
}

Result<void> write_move_mark(const std::string& path, const MoveMark& mark) {
    json versions = json::object();
    for (const SourceFile file : kFiles)
        versions[name_of(file)] = mark.schema_versions[static_cast<std::size_t>(file)];
    const json out = {{"move_id", mark.move_id},
                      {"registry_id", mark.registry_id},
                      {"schema", mark.schema},
                      {"moved_at", mark.moved_at},
                      {"schema_versions", versions}};
    const std::string part = path + ".part";
    if (::unlink(part.c_str()) != 0 && errno != ENOENT)
        return fail(errno_error("delete " + part, errno));
    EW_CHECK(make_private_file(part));
    const UniqueFd fd(::open(part.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!fd) return fail(errno_error("open " + part, errno));
    EW_CHECK(write_all(fd.get(), dump_json(out) + "\n", part));
    return publish_file(part, path);
}

Result<void> remove_move_mark(const std::string& path) {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT)
        return fail(errno_error("delete " + path, errno));
    return sync_directory(directory_of(path));
}

}  // namespace export_worker::migration
