// How deep a JSON value nests. A parsed text may nest deeper than a stack is: what walks it with a
// call for each level asks here first.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>

namespace export_worker {

// Whether arrays and objects lie more than `depth_max` levels inside each other: "1" has none,
// "[1]" has one. Looks no deeper than it must.
[[nodiscard]] bool is_deeper(const nlohmann::json& value, std::size_t depth_max);

}  // namespace export_worker
