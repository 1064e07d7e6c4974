// W3C Trace Context: the request of a caller that this one belongs to.
#pragma once

#include <string>
#include <string_view>

namespace export_worker::message {

// The version-00 form of section 3.2: "00-TRACE-PARENT-FLAGS" in lower-case hex, neither id all
// zeroes, no version "ff".
[[nodiscard]] bool is_traceparent(std::string_view text);
// A step of the trace that `incoming` names, or of a new one when it is none: never copied as it
// came.
[[nodiscard]] std::string make_traceparent(std::string_view incoming);
// The 32 digits that all steps of a trace share; empty when `traceparent` is none.
[[nodiscard]] std::string_view trace_id_of(std::string_view traceparent);

}  // namespace export_worker::message
