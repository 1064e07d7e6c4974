// Is a packed workbook whole? libxlsxwriter does not look at every write to its temporary files, so
// a disk that was full in between can leave a sheet that ends early. Private to daemon/format.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.hpp"

namespace export_worker::format {

// Unpacks every sheet and looks for its end. Errors: kDataLoss when one is missing or not whole,
// kInvalidArgument when the workbook is larger than its format allows.
[[nodiscard]] Result<void> check_workbook(const std::string& path, std::size_t sheets);

}  // namespace export_worker::format
