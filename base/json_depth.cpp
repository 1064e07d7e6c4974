#include "base/json_depth.hpp"

#include <algorithm>

#include "base/json.hpp"

namespace export_worker {

bool is_deeper(const nlohmann::json& value, std::size_t depth_max) {
    if (!value.is_structured()) return false;
    return depth_max == 0 || std::ranges::any_of(value, [&](const nlohmann::json& child) {
               return is_deeper(child, depth_max - 1);
           });
}

}  // namespace export_worker
