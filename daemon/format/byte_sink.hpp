// Where encoded bytes go: a file, or a compressor in front of one.
#pragma once

#include <string_view>

#include "base/result.hpp"

namespace export_worker::format {

// [one-owner]
class ByteSink {
public:
    virtual ~ByteSink() = default;
    // Borrows `bytes` for the call. After an error the only legal next step is destruction.
    [[nodiscard]] virtual Result<void> write(std::string_view bytes) = 0;
};

}  // namespace export_worker::format
