// Judging a plugin file by its bytes, before any of its code can run.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugins/refusal.hpp"

namespace export_worker::plugins {

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

// Forbidden imports that a plugin may have after all, by the plugin's name.
using AllowedImports = std::map<std::string, std::vector<std::string>, std::less<>>;

// Refused: what read_elf() refuses; no note of ours or no build-id, a malformed note, another ABI
// major, one that needs a newer host; and what would harm the process it is loaded into: libraries
// beyond the system's and `allowed_needed`, its own library search path, unique symbols, static
// TLS, an executable stack, text relocations, imports forbidden by import_lint.hpp and not among
// `allowed_imports`.
[[nodiscard]] Verdict<Inspected> inspect(std::string_view file_bytes,
                                         const std::vector<std::string>& allowed_needed = {},
                                         const AllowedImports& allowed_imports = {});

}  // namespace export_worker::plugins
