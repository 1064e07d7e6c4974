// Set-up of the process log: one line per event on stderr, where systemd and containers look.
#pragma once

#include <string_view>

#include "base/result.hpp"

namespace export_worker {

// `level`: trace, debug, info, warn, error. Errors: kInvalidArgument. Call once, before any thread.
[[nodiscard]] Result<void> init_log(std::string_view level);

// Another level from now on. Errors: as init_log(). [any-thread]
[[nodiscard]] Result<void> set_log_level(std::string_view level);

// Takes the signature out of a minted URL so that it may be logged. Everything else stays.
[[nodiscard]] std::string redact_url(std::string_view url);

}  // namespace export_worker
