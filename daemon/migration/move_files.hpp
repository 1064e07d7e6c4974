// The files of exports, from a directory of one machine into an object store, after their jobs were
// moved to PostgreSQL.
//
// A job names the new place only once the object is there and has the bytes whose SHA-256 the job
// has. The file in the directory stays: an operator removes it. A crash leaves jobs that name the
// one or the other, both good, and perhaps an object that its job does not name yet; the same call
// goes on with the jobs that still name a directory.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/files/file_store.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::migration {

struct LeftFile {
    std::string job_id;
    std::string file_url;
    std::string reason;
};
struct FilesReport {
    std::int64_t files = 0;  // Moved by this call.
    std::int64_t bytes = 0;
    std::int64_t left = 0;         // Their jobs are as they were.
    std::vector<LeftFile> listed;  // The first kMovedFilesListed of them.
};
using OnFiles = std::function<void(const FilesReport&)>;

// Daemons may run meanwhile. Errors: those of the database, and of the store when it takes no
// object; what is wrong with one file leaves that file.
[[nodiscard]] Result<FilesReport> move_files(const postgres::DatabaseOptions& options,
                                             files::FileStore& to, const OnFiles& on_files);

}  // namespace export_worker::migration
