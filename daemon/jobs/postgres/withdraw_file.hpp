// Takes a published file away from its job. Private to daemon/jobs/postgres.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/model/file.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::jobs::pg {

// Its file is deleted once the links to it have ended (JobFiles::deletable_files()). The job gets
// an event of the kind `event` and a notice; nothing happens when `key` is not live. Returns the
// job, for record_withdrawn(); empty: nothing happened. lock_file_version() has been called.
[[nodiscard]] Result<std::string> withdraw_file(postgres::Connection& connection,
                                                const model::FileKey& key, std::string_view event,
                                                std::string_view actor, std::string_view reason,
                                                const Now& now);

}  // namespace export_worker::jobs::pg
