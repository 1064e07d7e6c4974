// Names of files in a store, and the proof that one was written.
#pragma once

#include <cstdint>
#include <string>

namespace export_worker::model {

// Relative to the store's root: "ORGANIZATION/JOB.EPOCH-CLAIM.csv". Never reused: it names
// job, epoch and claim.
using FileKey = std::string;

struct FileReceipt {
    FileKey key;
    std::string file_url;  // Where it lies, as jobs remember it: "file:///...".
    std::uint64_t bytes = 0;
    std::string sha256;  // 64 hex digits.
};

}  // namespace export_worker::model
