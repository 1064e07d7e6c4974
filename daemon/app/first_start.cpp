#include "daemon/app/first_start.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "base/io.hpp"
#include "base/log.hpp"
#include "base/store_mark.hpp"
#include "daemon/sqlite/integrity.hpp"

namespace export_worker::app {
namespace {

// What every start since version 0.1 makes. plugins.db is younger, and may be moved away.
constexpr std::array<const char*, 3> kDatabases{"auth.db", "jobs.db", "catalog.db"};

bool exists(const std::string& path) {
    struct stat info {};
    return ::lstat(path.c_str(), &info) == 0;
}

std::string word_of(const std::string& state_dir) {
    return state_dir + "/new-databases";
}

std::string join(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

struct Found {
    std::vector<std::string> there;  // Also what cannot be read: opening it says why.
    std::vector<std::string> empty;
    std::vector<std::string> missing;
};

Found find_databases(const std::string& state_dir) {
    Found out;
    for (const char* name : kDatabases) {
        const std::string path = state_dir + "/" + name;
        if (!exists(path)) {
            out.missing.emplace_back(name);
            continue;
        }
        const auto tables = sqlite::has_tables(path);
        (tables && !*tables ? out.empty : out.there).emplace_back(name);
    }
    if (exists(state_dir + "/plugins.db")) out.there.emplace_back("plugins.db");
    return out;
}

// A directory without databases beside a store that has exports of a registry.
Result<void> check_store(const config::Config& config) {
    const auto store =
        std::ranges::find(config.stores, config.exports.store, &model::StoreSettings::name);
    if (config.exports.workers == 0 || store == config.stores.end() || store->kind != "local")
        return {};
    const std::string& root = store->values.at("root");
    const auto marks = marked_registries(root);
    if (!marks || marks->empty()) return {};
    return fail(ErrorCode::kUnavailable,
                config.state_dir + ": expected the databases of registry " + marks->front() +
                    ", whose exports are in " + root + " ([store." + store->name +
                    "]), found none; mount the volume of state_dir, or restore a backup "
                    "(exportctl restore). For a new installation name another root; to go on "
                    "without the jobs and keys of that registry: touch " +
                    word_of(config.state_dir) + " and start again");
}

bool is_new(const Found& found) {
    return found.there.empty() && found.empty.empty();
}

// Their jobs and keys would seem to be gone.
Result<void> check_moved(const std::string& state_dir) {
    std::vector<std::string> left;
    for (const char* name : kDatabases) {
        if (exists(state_dir + "/" + name)) left.emplace_back(name);
    }
    if (left.empty() || exists(moved_mark_of(state_dir))) return {};
    return fail(ErrorCode::kFailedPrecondition,
                state_dir +
                    ": expected no jobs, products and keys beside [database] kind = "
                    "postgres, found " +
                    join(left) +
                    "; move them there (exportctl migrate), or move the files away to go on "
                    "without them");
}

// The other way round: what was moved would be as it was then.
Result<void> check_not_moved(const std::string& state_dir) {
    const std::string mark = moved_mark_of(state_dir);
    if (!exists(mark)) return {};
    return fail(ErrorCode::kFailedPrecondition,
                state_dir + ": its jobs, products and keys were moved to PostgreSQL, as " + mark +
                    " says; set [database] kind = postgres, or undo the move (exportctl migrate "
                    "--undo)");
}

}  // namespace

std::string moved_mark_of(const std::string& state_dir) {
    return state_dir + "/moved-to-postgres";
}

Result<void> check_first_start(const config::Config& config) {
    if (config.database.is_shared) return check_moved(config.state_dir);
    EW_CHECK(check_not_moved(config.state_dir));
    if (exists(word_of(config.state_dir))) return {};
    const Found found = find_databases(config.state_dir);
    if (found.missing.empty() && found.empty.empty()) return {};
    if (is_new(found)) return check_store(config);
    std::string lost;
    if (!found.missing.empty()) lost = join(found.missing) + " missing";
    if (!found.empty.empty())
        lost += (lost.empty() ? "" : ", ") + join(found.empty) + " without a table";
    return fail(ErrorCode::kFailedPrecondition,
                config.state_dir + ": expected auth.db, jobs.db and catalog.db, found " + lost +
                    (found.there.empty() ? "" : " beside " + join(found.there)) +
                    "; restore a backup (exportctl restore DIRECTORY --force). To go on with new, "
                    "empty databases in their place: touch " +
                    word_of(config.state_dir) + " and start again");
}

Result<void> begin_first_start(const config::Config& config) {
    EW_CHECK(check_first_start(config));
    if (config.database.is_shared) return {};
    const std::string word = word_of(config.state_dir);
    if (exists(word)) {
        log_warn("{} is there: databases that are missing are made anew", word);
        return {};
    }
    if (!is_new(find_databases(config.state_dir))) return {};
    EW_CHECK(make_private_file(word));
    return sync_directory(config.state_dir);
}

Result<void> end_first_start(const std::string& state_dir) {
    const std::string word = word_of(state_dir);
    if (::unlink(word.c_str()) == 0) return sync_directory(state_dir);
    if (errno == ENOENT) return {};
    return fail(errno_error("delete " + word, errno));
}

}  // namespace export_worker::app
