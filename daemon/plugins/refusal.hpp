// Why a plugin is not taken: what was expected, what was found, what to do. One form for every
// reason.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "base/result.hpp"

namespace export_worker::plugins {

// `code` is one of a closed list (docs/plugin_abi.md, "What gets a file refused"), for programs;
// the rest is for people.
struct Refusal {
    std::string code;   // "lint", "probe_crash", "contract", ...
    std::string stage;  // "staging", "inspection", "probe", "loading", ...
    std::string expected;
    std::string found;
    std::string hint;     // The step or the flag that mends it.
    bool has_run = true;  // false: the time was over before any code of the file had run.
    // Of an error of the world: whether the same file may be taken a little later.
    ErrorCode cause = ErrorCode::kFailedPrecondition;
};

template <typename T>
using Verdict = tl::expected<T, Refusal>;

[[nodiscard]] inline tl::unexpected<Refusal> refuse(Refusal refusal) {
    return tl::unexpected<Refusal>(std::move(refusal));
}
// An error of the world on the way to a verdict: disk full, file unreadable.
[[nodiscard]] inline Refusal refusal_of(std::string_view stage, const Error& error) {
    return {"io",
            std::string(stage),
            "to read and write files",
            error.message,
            "mend what it names, then try again",
            true,
            error.code};
}

// The daemon cannot start with this file: it ended or stopped answering because of it.
[[nodiscard]] inline bool costs_the_daemon(const Refusal& refusal) {
    return refusal.code == "quarantined" || refusal.code == "load_timeout" ||
           refusal.code == "probe_ends_daemon";
}

[[nodiscard]] inline std::string to_text(const Refusal& refusal) {
    return "plugin refused at " + refusal.stage + ": expected " + refusal.expected + "; found " +
           refusal.found + "; " + refusal.hint;
}
[[nodiscard]] inline Error to_error(const Refusal& refusal) {
    const bool is_conflict = refusal.code == "busy" || refusal.code == "conflict";
    const bool passes =
        refusal.cause == ErrorCode::kResourceExhausted || refusal.cause == ErrorCode::kUnavailable;
    return {is_conflict ? ErrorCode::kConflict
            : passes    ? refusal.cause
                        : ErrorCode::kFailedPrecondition,
            to_text(refusal)};
}

}  // namespace export_worker::plugins
