// gzip and zstd on the way to a file. The same bytes in give the same bytes out: no time, no name.
#pragma once

#include <memory>

#include "daemon/format/byte_sink.hpp"
#include "daemon/model/export_spec.hpp"

namespace export_worker::format {

// [one-owner]
class Compressor : public ByteSink {
public:
    // Ends the compressed stream; everything is in the next sink then.
    [[nodiscard]] virtual Result<void> finish() = 0;
};

// `next` outlives it. kNone hands through. Errors: kResourceExhausted without memory.
[[nodiscard]] Result<std::unique_ptr<Compressor>> make_compressor(model::Compression compression,
                                                                  ByteSink& next);

}  // namespace export_worker::format
