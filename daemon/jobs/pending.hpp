// A write under way.
#pragma once

#include <functional>

#include "base/result.hpp"

namespace export_worker::jobs {

// Waits until the write is durable. To be called once; what was begun happens even when it is not.
template <typename T>
using Pending = std::function<Result<T>()>;

}  // namespace export_worker::jobs
