// What an ELF shared object says about itself, read from its bytes alone.
//
// Layouts from the System V ABI (ELF-64 object file format), its GNU extensions, and <elf.h>.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugins/refusal.hpp"

namespace export_worker::plugins {

struct ElfFacts {
    std::string notes;                 // Every PT_NOTE, one after the other.
    std::vector<std::string> needed;   // DT_NEEDED
    std::string search_path;           // DT_RPATH or DT_RUNPATH
    std::vector<std::string> imports;  // Undefined dynamic symbols, without their versions.
    std::vector<std::string> exports;  // Defined global ones.
    std::vector<std::string> unique;   // Defined ones of binding STB_GNU_UNIQUE.
    bool executable_stack = false;     // PT_GNU_STACK says so, or is missing.
    bool text_relocations = false;     // DT_TEXTREL or DF_TEXTREL
    bool static_tls = false;           // DF_STATIC_TLS
    bool never_unloads = false;        // DF_1_NODELETE
};

// Refused: not ELF, another architecture or word size, not a shared object, truncated, or without
// the tables every linker writes.
[[nodiscard]] Verdict<ElfFacts> read_elf(std::string_view file_bytes);

// The descriptor of the note with this owner and type; an empty view when there is none. For files
// and for mapped images alike.
[[nodiscard]] std::string_view find_note(std::string_view notes, std::string_view owner,
                                         unsigned type);

// The GNU build-id among `notes` in hex, or empty.
[[nodiscard]] std::string find_build_id(std::string_view notes);

}  // namespace export_worker::plugins
