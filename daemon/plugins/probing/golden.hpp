// Golden requests: what a candidate must answer before it may serve.
//
// Two kinds. Those of the file beside the plugin, one JSON object a line (docs/plugin_abi.md,
// "Golden requests"), with the caller and the job they are about. And one that needs no file: every
// idempotent method is called by an anonymous caller without parameters; any answer will do, a
// fault will not.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/model/job.hpp"
#include "daemon/model/principal.hpp"
#include "daemon/plugins/running/generation.hpp"

namespace export_worker::plugins {

struct GoldenRequest {
    std::string name;  // For messages.
    std::string method;
    std::string params;  // msgpack
    std::optional<model::Principal> caller;
    std::string job_id;
    model::JobFile job;
    std::string expected;                    // "ok", an error code, or empty: any.
    std::vector<std::string> expected_keys;  // Of the result.
    bool repeatable = false;                 // The method is idempotent.
};

// The text of the golden requests for `candidate`: `named` when it is not empty, else the file
// beside the candidate, else the one beside `configured` (may be empty), else none. Refused:
// unreadable.
[[nodiscard]] Verdict<std::string> read_golden_file(const std::string& named,
                                                    const std::string& candidate,
                                                    const std::string& configured);

// The requests of `text`, then the anonymous ones. Refused: a line that cannot be read.
[[nodiscard]] Verdict<std::vector<GoldenRequest>> golden_requests(const Generation& generation,
                                                                  std::string_view text);
// Refused: a fault, or another answer than expected. `call` is scratch space.
[[nodiscard]] Verdict<void> run_golden(Generation& generation, const GoldenRequest& request,
                                       PluginCall& call);

}  // namespace export_worker::plugins
