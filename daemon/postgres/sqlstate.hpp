// What an error of PostgreSQL tells the caller to do.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.hpp"

namespace export_worker::postgres {

// The code for an error with this SQLSTATE (five characters), before the commit is sent. Unknown
// ones are kInternal.
[[nodiscard]] ErrorCode code_of(std::string_view sqlstate);
// Did the server roll the transaction back for others' sake, so that the same again may succeed?
[[nodiscard]] bool is_retried(std::string_view sqlstate);
// Does an error with this SQLSTATE in answer to COMMIT leave open whether it has happened?
[[nodiscard]] bool is_commit_unknown(std::string_view sqlstate);
// Is a connection that has answered so of no more use: the server ends it, or has become a standby?
[[nodiscard]] bool ends_connection(std::string_view sqlstate);

}  // namespace export_worker::postgres
