// What goes between a probe's parent and child: JSON, one object a line.
#pragma once

#include <string>
#include <string_view>

#include "daemon/plugins/probing/probe.hpp"

namespace export_worker::plugins {

inline constexpr int kProbeReportFd = 3;
// Exit status of a child that cannot report: the candidate has closed or replaced kProbeReportFd.
inline constexpr int kProbeReportLost = 74;  // EX_IOERR
// Of a keeper that could not start a probe: no process or no memory.
inline constexpr int kProbeNotBegun = 71;  // EX_OSERR

[[nodiscard]] std::string encode_probe_request(const ProbeRequest& request);
// Errors: kInvalidArgument.
[[nodiscard]] Result<ProbeRequest> decode_probe_request(std::string_view text);

// Lines of the child: a step begins, or the end with a verdict.
[[nodiscard]] std::string encode_probe_step(std::string_view step);
[[nodiscard]] std::string encode_probe_end(const Verdict<ProbeReport>& verdict);

struct ProbeEnd {
    std::string last_step;  // The step that had begun last.
    bool ended = false;     // The end came, with:
    Verdict<ProbeReport> verdict;
};
// All lines, as far as they came.
[[nodiscard]] ProbeEnd decode_probe_lines(std::string_view text);

}  // namespace export_worker::plugins
