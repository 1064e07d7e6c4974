// Why a plugin is not taken: what was expected, what was found, what to do. One form for every
// reason.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace export_worker::plugin_host {

struct Refusal {
    std::string_view stage;  // "staging", "inspection", "loading", "creating", "self_test"
    std::string_view expected;
    std::string_view found;
    std::string_view hint;
};

[[nodiscard]] inline tl::unexpected<Error> refuse(const Refusal& refusal) {
    return fail(ErrorCode::kFailedPrecondition, "plugin refused at " + std::string(refusal.stage) +
                                                    ": expected " + std::string(refusal.expected) +
                                                    "; found " + std::string(refusal.found) + "; " +
                                                    std::string(refusal.hint));
}

}  // namespace export_worker::plugin_host
