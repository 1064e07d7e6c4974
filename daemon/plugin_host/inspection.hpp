// Judging a plugin file by its bytes, before any of its code can run.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugin_host/refusal.hpp"

namespace export_worker::plugin_host {

// What the ELF notes say.
struct Manifest {
    std::string name;
    std::string version;
    std::uint32_t abi_major = 0;
    std::uint32_t abi_minor = 0;
    std::uint32_t host_minor_min = 0;
    std::string build_id;  // Hex digits; from .note.gnu.build-id.
};

struct Inspected {
    Manifest manifest;
    // Why the image could not be unmapped again, as far as the bytes tell; empty: nothing seen.
    std::vector<std::string> pinned_by;
};

// Refused: what read_elf() refuses; no note of ours or no build-id, a malformed note, another ABI
// major, one that needs a newer host; and what would harm the process it is loaded into: libraries
// beyond the system's and `allowed_needed`, its own library search path, unique symbols, static
// TLS, an executable stack, text relocations, forbidden imports.
[[nodiscard]] Judged<Inspected> inspect(std::string_view file_bytes,
                                        const std::vector<std::string>& allowed_needed = {});

}  // namespace export_worker::plugin_host
