#include "daemon/plugin_host/inspection.hpp"

#include <elf.h>

#include <cstring>
#include <functional>
#include <optional>

#include "base/hex.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "daemon/plugin_host/refusal.hpp"
#include "protocol/plugin_abi/plugin.h"

namespace export_worker::plugin_host {
namespace {

constexpr std::string_view kStage = "inspection";

#if defined(__x86_64__)
constexpr std::uint16_t kMachine = EM_X86_64;
constexpr std::string_view kMachineName = "x86-64";
#elif defined(__aarch64__)
constexpr std::uint16_t kMachine = EM_AARCH64;
constexpr std::string_view kMachineName = "AArch64";
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

struct Note {
    std::string_view owner;  // Without its NUL.
    std::uint32_t type = 0;
    std::string_view descriptor;
};

void each_note(std::string_view notes, const std::function<void(const Note&)>& visit) {
    const auto padded = [](std::uint64_t bytes) { return (bytes + 3) & ~std::uint64_t{3}; };
    while (const auto header = read_at<Elf64_Nhdr>(notes, 0)) {
        const std::uint64_t owner_at = sizeof *header;
        const std::uint64_t descriptor_at = owner_at + padded(header->n_namesz);
        const std::uint64_t end = descriptor_at + padded(header->n_descsz);
        if (descriptor_at + header->n_descsz > notes.size()) return;
        std::string_view owner = notes.substr(owner_at, header->n_namesz);
        while (owner.ends_with('\0')) owner.remove_suffix(1);
        visit({owner, header->n_type, notes.substr(descriptor_at, header->n_descsz)});
        notes.remove_prefix(std::min<std::uint64_t>(end, notes.size()));
    }
}

tl::unexpected<Error> truncated() {
    return refuse({kStage, "a complete ELF file", "one that ends early",
                   "copy the file again; write it under another name "
                   "and rename it into place"});
}

Result<Elf64_Ehdr> check_header(std::string_view bytes) {
    if (bytes.size() < SELFMAG || std::memcmp(bytes.data(), ELFMAG, SELFMAG) != 0) {
        return refuse({kStage, "an ELF shared object",
                       "a file that does not start with the ELF magic",
                       "name the .so that the build made"});
    }
    const auto header = read_at<Elf64_Ehdr>(bytes, 0);
    if (!header) return truncated();
    if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_ident[EI_DATA] != ELFDATA2LSB) {
        return refuse({kStage, "a 64-bit little-endian file", "another word size or byte order",
                       "build the plugin on or for this machine"});
    }
    if (header->e_machine != kMachine) {
        return refuse({kStage, kMachineName, "ELF machine " + std::to_string(header->e_machine),
                       "build the plugin on or for this machine"});
    }
    if (header->e_type != ET_DYN) {
        return refuse({kStage, "a shared object (ET_DYN)",
                       "ELF type " + std::to_string(header->e_type), "link with -shared"});
    }
    return *header;
}

// All PT_NOTE contents, one after the other. Also finds out whether the file is whole.
Result<std::string> collect_notes(std::string_view bytes, const Elf64_Ehdr& header) {
    std::string notes;
    const std::uint64_t sections_end =
        header.e_shoff + std::uint64_t{header.e_shnum} * header.e_shentsize;
    if (header.e_shoff > bytes.size() || sections_end > bytes.size()) return truncated();
    for (std::uint64_t index = 0; index < header.e_phnum; ++index) {
        const auto segment =
            read_at<Elf64_Phdr>(bytes, header.e_phoff + index * header.e_phentsize);
        if (!segment) return truncated();
        if (segment->p_offset > bytes.size() ||
            bytes.size() - segment->p_offset < segment->p_filesz)
            return truncated();
        if (segment->p_type != PT_NOTE) continue;
        if (notes.size() + segment->p_filesz > limits::kPluginNoteBytesMax) {
            return refuse({kStage, "notes of at most 4096 bytes", "more",
                           "drop foreign notes from the plugin"});
        }
        notes.append(bytes.substr(segment->p_offset, segment->p_filesz));
        notes.append((4 - notes.size() % 4) % 4, '\0');
    }
    return notes;
}

// Text of a NUL-padded field; nullopt when it is empty or not terminated.
std::optional<std::string> field_text(const char* field, std::size_t bytes) {
    const std::size_t size = ::strnlen(field, bytes);
    if (size == 0 || size == bytes) return std::nullopt;
    std::string text(field, size);
    if (has_control_characters(text) || !is_valid_utf8(text)) return std::nullopt;
    return text;
}

Result<Manifest> read_manifest(std::string_view descriptor) {
    const auto raw = read_at<ew_note_descriptor>(descriptor, 0);
    if (!raw || raw->struct_bytes < sizeof(ew_note_descriptor)) {
        return refuse(
            {kStage, "a note of at least " + std::to_string(sizeof(ew_note_descriptor)) + " bytes",
             std::to_string(descriptor.size()) + " bytes", "use EW_PLUGIN_NOTE from plugin.h"});
    }
    const auto name = field_text(raw->name, sizeof raw->name);
    const auto version = field_text(raw->version, sizeof raw->version);
    if (!name || !version) {
        return refuse({kStage, "a name and a version, NUL-terminated", "an unreadable one",
                       "use EW_PLUGIN_NOTE from plugin.h"});
    }
    return Manifest{*name, *version, raw->abi_major, raw->abi_minor, raw->host_minor_min, {}};
}

}  // namespace

std::string find_build_id(std::string_view notes) {
    std::string out;
    each_note(notes, [&](const Note& note) {
        if (note.owner == "GNU" && note.type == NT_GNU_BUILD_ID) {
            out = to_hex({reinterpret_cast<const std::uint8_t*>(note.descriptor.data()),
                          note.descriptor.size()});
        }
    });
    return out;
}

Result<Manifest> inspect(std::string_view file_bytes) {
    EW_TRY(const Elf64_Ehdr header, check_header(file_bytes));
    EW_TRY(const std::string notes, collect_notes(file_bytes, header));
    std::optional<std::string_view> descriptor;
    each_note(notes, [&](const Note& note) {
        if (note.owner == EW_NOTE_OWNER && note.type == EW_NOTE_TYPE) descriptor = note.descriptor;
    });
    if (!descriptor) {
        return refuse({kStage, "an ELF note of owner " EW_NOTE_OWNER,
                       "none: this is a shared object, but no plugin of ours",
                       "put EW_PLUGIN_NOTE(name, version, 0) into the plugin's source"});
    }
    EW_TRY(Manifest manifest, read_manifest(*descriptor));
    if (manifest.abi_major != EW_ABI_MAJOR) {
        return refuse({kStage, "plugin ABI major " + std::to_string(EW_ABI_MAJOR),
                       "major " + std::to_string(manifest.abi_major),
                       "rebuild " + manifest.name + " " + manifest.version +
                           " against this version's headers"});
    }
    if (manifest.host_minor_min > EW_ABI_MINOR) {
        return refuse({kStage,
                       "a plugin for host ABI minor " + std::to_string(EW_ABI_MINOR) + " or older",
                       "one that needs minor " + std::to_string(manifest.host_minor_min),
                       "upgrade the daemon, or build the plugin for an older host"});
    }
    manifest.build_id = find_build_id(notes);
    if (manifest.build_id.empty()) {
        return refuse({kStage, "a GNU build-id", "none", "link with -Wl,--build-id=sha1"});
    }
    return manifest;
}

}  // namespace export_worker::plugin_host
