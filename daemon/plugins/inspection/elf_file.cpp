#include "daemon/plugins/inspection/elf_file.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/hex.hpp"
#include "base/text.hpp"
#include "daemon/plugins/inspection/limits.hpp"

namespace export_worker::plugins {
namespace {

constexpr const char* kStage = "inspection";

#if defined(__x86_64__)
constexpr std::uint16_t kMachine = EM_X86_64;
constexpr const char* kMachineName = "x86-64";
#elif defined(__aarch64__)
constexpr std::uint16_t kMachine = EM_AARCH64;
constexpr const char* kMachineName = "AArch64";
#else
#error "name this machine's ELF e_machine here"
#endif

// A T at `offset`, when it lies within the bytes.
template <typename T>
std::optional<T> read_at(std::string_view bytes, std::uint64_t offset) {
    if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
    T out;
    std::memcpy(&out, bytes.data() + offset, sizeof out);
    return out;
}

tl::unexpected<Refusal> truncated() {
    return refuse({"not_elf", kStage, "a complete ELF file", "one that ends early",
                   "copy the file again; write it under another name and rename it into place"});
}
tl::unexpected<Refusal> damaged(const std::string& what) {
    return refuse({"not_elf", kStage, "an ELF file as linkers write it", what,
                   "build it again; do not strip the section headers"});
}

Verdict<Elf64_Ehdr> check_header(std::string_view bytes) {
    if (bytes.size() < SELFMAG || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0) {
        return refuse({"not_elf", kStage, "an ELF shared object",
                       "a file that does not start with the ELF magic",
                       "name the .so that the build made"});
    }
    const auto header = read_at<Elf64_Ehdr>(bytes, 0);
    if (!header) return truncated();
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB) {
        return refuse({"architecture", kStage, "a 64-bit little-endian file",
                       "another word size or byte order",
                       "build the plugin on or for this machine"});
    }
    if (header->e_machine != kMachine) {
        return refuse({"architecture", kStage, kMachineName,
                       "ELF machine " + std::to_string(header->e_machine),
                       "build the plugin on or for this machine"});
    }
    if (header->e_type != ET_DYN) {
        return refuse({"not_elf", kStage, "a shared object (ET_DYN)",
                       "ELF type " + std::to_string(header->e_type), "link with -shared"});
    }
    return *header;
}

using Segments = std::vector<Elf64_Phdr>;

// Also finds out whether the file is whole.
Verdict<Segments> read_segments(std::string_view bytes, const Elf64_Ehdr& header) {
    // Else 65,535 segments could be announced that are all the same bytes.
    if (header.e_phentsize != sizeof(Elf64_Phdr))
        return damaged("program headers of " + std::to_string(header.e_phentsize) + " bytes");
    const std::uint64_t sections_end =
        header.e_shoff + std::uint64_t{header.e_shnum} * header.e_shentsize;
    if (header.e_shoff > bytes.size() || sections_end > bytes.size()) return truncated();
    Segments out;
    for (std::uint64_t index = 0; index < header.e_phnum; ++index) {
        const auto segment =
            read_at<Elf64_Phdr>(bytes, header.e_phoff + index * header.e_phentsize);
        if (!segment || segment->p_offset > bytes.size() ||
            bytes.size() - segment->p_offset < segment->p_filesz)
            return truncated();
        out.push_back(*segment);
    }
    return out;
}

// The bytes of the file that will be mapped at `address`, to the end of their segment.
std::string_view at_address(std::string_view bytes, const Segments& segments,
                            std::uint64_t address) {
    for (const Elf64_Phdr& segment : segments) {
        if (segment.p_type != PT_LOAD || address < segment.p_vaddr ||
            address - segment.p_vaddr >= segment.p_filesz)
            continue;
        const std::uint64_t within = address - segment.p_vaddr;
        return bytes.substr(segment.p_offset + within, segment.p_filesz - within);
    }
    return {};
}

// NUL-terminated text at `offset` of a string table; what it is for messages only.
std::string text_at(std::string_view table, std::uint64_t offset) {
    if (offset >= table.size()) return "?";
    const std::string_view from = table.substr(offset, 512);
    return printable(from.substr(0, std::min(from.find('\0'), from.size())), 512);
}

struct DynamicTables {
    std::string_view strings;
    std::uint64_t symbols_address = 0;
};

Verdict<DynamicTables> read_dynamic(std::string_view bytes, const Segments& segments,
                                    ElfFacts& facts) {
    const auto dynamic = std::ranges::find(segments, Elf64_Word{PT_DYNAMIC}, &Elf64_Phdr::p_type);
    if (dynamic == segments.end()) return damaged("no dynamic section");
    const std::string_view raw = bytes.substr(dynamic->p_offset, dynamic->p_filesz);
    std::vector<Elf64_Dyn> entries;
    for (std::uint64_t at = 0;; at += sizeof(Elf64_Dyn)) {
        const auto entry = read_at<Elf64_Dyn>(raw, at);
        if (!entry || entry->d_tag == DT_NULL) break;
        entries.push_back(*entry);
    }
    DynamicTables out;
    std::optional<std::uint64_t> strings_address;
    for (const Elf64_Dyn& entry : entries) {
        if (entry.d_tag == DT_STRTAB) strings_address = entry.d_un.d_ptr;
        if (entry.d_tag == DT_SYMTAB) out.symbols_address = entry.d_un.d_ptr;
    }
    // Once, not for every entry: a file can have millions of them, and 65,535 segments to search.
    if (strings_address) out.strings = at_address(bytes, segments, *strings_address);
    for (const Elf64_Dyn& entry : entries) {
        const std::uint64_t value = entry.d_un.d_val;
        if (entry.d_tag == DT_NEEDED) facts.needed.push_back(text_at(out.strings, value));
        if (entry.d_tag == DT_RPATH || entry.d_tag == DT_RUNPATH)
            facts.search_path = text_at(out.strings, value);
        if (entry.d_tag == DT_TEXTREL || (entry.d_tag == DT_FLAGS && (value & DF_TEXTREL) != 0))
            facts.text_relocations = true;
        if (entry.d_tag == DT_FLAGS && (value & DF_STATIC_TLS) != 0) facts.static_tls = true;
        if (entry.d_tag == DT_FLAGS_1 && (value & DF_1_NODELETE) != 0) facts.never_unloads = true;
    }
    if (out.strings.empty() || out.symbols_address == 0)
        return damaged("no dynamic string or symbol table");
    return out;
}

// The loader needs no count of dynamic symbols, so only the section headers have it.
Verdict<void> read_symbols(std::string_view bytes, const Elf64_Ehdr& header,
                           const DynamicTables& tables, ElfFacts& facts) {
    for (std::uint64_t index = 0; index < header.e_shnum; ++index) {
        const auto section =
            read_at<Elf64_Shdr>(bytes, header.e_shoff + index * header.e_shentsize);
        if (!section) return truncated();
        if (section->sh_type != SHT_DYNSYM || section->sh_addr != tables.symbols_address) continue;
        const std::uint64_t count = section->sh_size / sizeof(Elf64_Sym);
        for (std::uint64_t symbol = 1; symbol < count; ++symbol) {
            const auto entry =
                read_at<Elf64_Sym>(bytes, section->sh_offset + symbol * sizeof(Elf64_Sym));
            if (!entry) return truncated();
            std::string name = text_at(tables.strings, entry->st_name);
            const unsigned binding = ELF64_ST_BIND(entry->st_info);
            if (entry->st_shndx == SHN_UNDEF) {
                facts.imports.push_back(std::move(name));
            } else if (binding == STB_GNU_UNIQUE) {
                facts.unique.push_back(std::move(name));
            } else if (binding == STB_GLOBAL || binding == STB_WEAK) {
                facts.exports.push_back(std::move(name));
            }
        }
        return {};
    }
    return damaged("no section header for the dynamic symbols");
}

}  // namespace

std::string_view find_note(std::string_view notes, std::string_view owner, unsigned type) {
    const auto padded = [](std::uint64_t bytes) { return (bytes + 3) & ~std::uint64_t{3}; };
    while (const auto header = read_at<Elf64_Nhdr>(notes, 0)) {
        const std::uint64_t owner_at = sizeof *header;
        const std::uint64_t descriptor_at = owner_at + padded(header->n_namesz);
        const std::uint64_t end = descriptor_at + padded(header->n_descsz);
        if (descriptor_at + header->n_descsz > notes.size()) return {};
        std::string_view found = notes.substr(owner_at, header->n_namesz);
        while (found.ends_with('\0')) found.remove_suffix(1);
        if (found == owner && header->n_type == type)
            return notes.substr(descriptor_at, header->n_descsz);
        notes.remove_prefix(std::min<std::uint64_t>(end, notes.size()));
    }
    return {};
}

std::string find_build_id(std::string_view notes) {
    const std::string_view id = find_note(notes, "GNU", NT_GNU_BUILD_ID);
    return to_hex({reinterpret_cast<const std::uint8_t*>(id.data()), id.size()});
}

Verdict<ElfFacts> read_elf(std::string_view bytes) {
    EW_TRY(const Elf64_Ehdr header, check_header(bytes));
    EW_TRY(const Segments segments, read_segments(bytes, header));
    ElfFacts facts;
    facts.executable_stack = true;  // What the loader assumes without a PT_GNU_STACK.
    for (const Elf64_Phdr& segment : segments) {
        if (segment.p_type == PT_GNU_STACK) facts.executable_stack = (segment.p_flags & PF_X) != 0;
        if (segment.p_type != PT_NOTE) continue;
        if (facts.notes.size() + segment.p_filesz > limits::kPluginNoteBytesMax) {
            return refuse({"not_our_plugin", kStage, "notes of at most 4096 bytes", "more",
                           "drop foreign notes from the plugin"});
        }
        facts.notes.append(bytes.substr(segment.p_offset, segment.p_filesz));
        facts.notes.append((4 - facts.notes.size() % 4) % 4, '\0');
    }
    EW_TRY(const DynamicTables tables, read_dynamic(bytes, segments, facts));
    EW_CHECK(read_symbols(bytes, header, tables, facts));
    return facts;
}

}  // namespace export_worker::plugins
