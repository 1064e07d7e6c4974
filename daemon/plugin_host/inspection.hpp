// Judging a plugin file by its bytes, before any of its code can run.
//
// Layouts from the System V ABI (ELF-64 object file format) and <elf.h>.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

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

// Refused: not ELF, another architecture or word size, not a shared object, truncated, without our
// note or a build-id, a note that is malformed, another ABI major, or one that needs a newer host.
[[nodiscard]] Result<Manifest> inspect(std::string_view file_bytes);

// The hex build-id among the notes in `notes`, or empty. For files and for mapped images alike.
[[nodiscard]] std::string find_build_id(std::string_view notes);

}  // namespace export_worker::plugin_host
