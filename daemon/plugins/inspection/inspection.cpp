#include "daemon/plugins/inspection/inspection.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <optional>

#include "base/text.hpp"
#include "daemon/plugins/inspection/elf_file.hpp"
#include "daemon/plugins/inspection/import_lint.hpp"
#include "protocol/plugin_abi/plugin.h"

namespace export_worker::plugins {
namespace {

constexpr const char* kStage = "inspection";

// Libraries that are in the process anyway, or that may come: none of them belongs to a plugin, so
// two generations can share it.
constexpr auto kSystemLibraries = std::to_array<std::string_view>({
    "libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "libpthread.so.0", "librt.so.1",
        "libdl.so.2", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1", "libcrypto.so.3",
        "libssl.so.3", "libz.so.1",
#if defined(EXPORT_WORKER_SANITIZED)
        "libasan.so.8", "libubsan.so.1", "libtsan.so.2",
#endif
});

struct Pinning {
    std::string_view import;
    std::string_view why;
};
// Imports that leave something of the image behind in other threads.
constexpr auto kPinning = std::to_array<Pinning>(
    {{"__cxa_thread_atexit", "a thread-local destructor (import __cxa_thread_atexit)"},
     {"__cxa_thread_atexit_impl", "a thread-local destructor (import __cxa_thread_atexit_impl)"},
     {"pthread_key_create",
      "a thread key whose destructor outlives it (import pthread_key_create)"},
     {"tss_create", "a thread key whose destructor outlives it (import tss_create)"}});

tl::unexpected<Refusal> lint(std::string expected, std::string found, std::string hint) {
    return refuse({"lint", kStage, std::move(expected), std::move(found), std::move(hint)});
}

bool is_sanitizer(std::string_view library) {
    return std::ranges::any_of(
        std::to_array<std::string_view>(
            {"libasan.", "libhwasan.", "liblsan.", "libtsan.", "libubsan."}),
        [&](std::string_view prefix) { return library.starts_with(prefix); });
}

Verdict<void> check_libraries(const ElfFacts& facts, const std::vector<std::string>& allowed) {
    for (const std::string& library : facts.needed) {
        if (std::ranges::find(kSystemLibraries, library) != kSystemLibraries.end() ||
            std::ranges::find(allowed, library) != allowed.end())
            continue;
        if (is_sanitizer(library)) {
            return lint("a plugin without a sanitizer's runtime", library,
                        "build it without -fsanitize; a sanitizer has to be in the program first");
        }
        return lint("only system libraries under DT_NEEDED", library,
                    "link it statically (two generations would share one copy of " + library +
                        "), or name it in [plugins] allow_needed");
    }
    if (!facts.search_path.empty()) {
        return lint("no RPATH or RUNPATH", "'" + facts.search_path + "'",
                    "link without -Wl,-rpath; the file is copied before it is loaded, so $ORIGIN "
                    "would point elsewhere");
    }
    return {};
}

Verdict<void> check_image(const ElfFacts& facts) {
    if (!facts.unique.empty()) {
        return lint("no unique symbols",
                    std::to_string(facts.unique.size()) + ", among them " + facts.unique.front(),
                    "compile with -fno-gnu-unique and link with the version script plugin.map: "
                    "unique symbols are shared between generations and pin the image");
    }
    if (facts.static_tls) {
        return lint("no static TLS", "the flag DF_STATIC_TLS",
                    "do not compile with -ftls-model=initial-exec: every generation would take a "
                    "piece of a small, fixed block");
    }
    if (facts.executable_stack) {
        return lint("a stack that is not executable", "PT_GNU_STACK asks for one or is missing",
                    "link with -Wl,-z,noexecstack; in assembler files add "
                    ".section .note.GNU-stack,\"\",@progbits");
    }
    if (facts.text_relocations) {
        return lint("no text relocations", "the flag DF_TEXTREL",
                    "compile everything with -fPIC; link with -Wl,-z,text to see which object");
    }
    return {};
}

Verdict<void> check_entry(const ElfFacts& facts) {
    if (std::ranges::find(facts.exports, EW_PLUGIN_ENTRY_NAME) == facts.exports.end()) {
        return lint("the exported function " EW_PLUGIN_ENTRY_NAME, "none",
                    "mark it EW_EXPORT and declare it extern \"C\"");
    }
    return {};
}

// Text of a NUL-padded field; nullopt when it is empty or not terminated.
std::optional<std::string> field_text(const char* field, std::size_t bytes) {
    const std::size_t size = ::strnlen(field, bytes);
    if (size == 0 || size == bytes) return std::nullopt;
    std::string text(field, size);
    if (has_control_characters(text) || !is_valid_utf8(text)) return std::nullopt;
    return text;
}

// What a note of ABI 1.0 has; later members may be missing.
constexpr std::size_t kNoteBytesMin =
    offsetof(ew_note_descriptor, version) + sizeof(ew_note_descriptor::version);

Verdict<Manifest> read_manifest(std::string_view descriptor) {
    ew_note_descriptor raw{};
    std::memcpy(&raw, descriptor.data(), std::min(descriptor.size(), sizeof raw));
    const auto bytes = std::min<std::size_t>(descriptor.size(), raw.struct_bytes);
    if (bytes < kNoteBytesMin) {
        return refuse({"not_our_plugin", kStage,
                       "a note of at least " + std::to_string(kNoteBytesMin) + " bytes",
                       std::to_string(bytes) + " bytes", "use EW_PLUGIN_NOTE from plugin.h"});
    }
    const auto name = field_text(raw.name, sizeof raw.name);
    const auto version = field_text(raw.version, sizeof raw.version);
    if (!name || !version) {
        return refuse({"not_our_plugin", kStage, "a name and a version, NUL-terminated",
                       "an unreadable one", "use EW_PLUGIN_NOTE from plugin.h"});
    }
    return Manifest{*name, *version, raw.abi_major, raw.abi_minor, raw.host_minor_min, {}};
}

Verdict<Manifest> check_manifest(std::string_view notes) {
    const std::string_view descriptor = find_note(notes, EW_NOTE_OWNER, EW_NOTE_TYPE);
    if (descriptor.empty()) {
        return refuse({"not_our_plugin", kStage, "an ELF note of owner " EW_NOTE_OWNER,
                       "none: this is a shared object, but no plugin of ours",
                       "put EW_PLUGIN_NOTE(name, version, 0) into the plugin's source"});
    }
    EW_TRY(Manifest manifest, read_manifest(descriptor));
    if (manifest.abi_major != EW_ABI_MAJOR) {
        return refuse({"abi_major", kStage, "plugin ABI major " + std::to_string(EW_ABI_MAJOR),
                       "major " + std::to_string(manifest.abi_major),
                       "rebuild " + manifest.name + " " + manifest.version +
                           " against this version's headers"});
    }
    if (manifest.host_minor_min > EW_ABI_MINOR) {
        return refuse({"abi_minor", kStage,
                       "a plugin for host ABI minor " + std::to_string(EW_ABI_MINOR) + " or older",
                       "one that needs minor " + std::to_string(manifest.host_minor_min),
                       "upgrade the daemon, or build the plugin for an older host"});
    }
    manifest.build_id = find_build_id(notes);
    if (manifest.build_id.empty()) {
        return refuse({"lint", kStage, "a GNU build-id", "none", "link with -Wl,--build-id=sha1"});
    }
    return manifest;
}

}  // namespace

Verdict<Inspected> inspect(std::string_view file_bytes,
                           const std::vector<std::string>& allowed_needed,
                           const AllowedImports& allowed_imports) {
    EW_TRY(const ElfFacts facts, read_elf(file_bytes));
    Inspected out;
    EW_TRY(out.manifest, check_manifest(facts.notes));
    EW_CHECK(check_libraries(facts, allowed_needed));
    EW_CHECK(check_image(facts));
    const auto allowed = allowed_imports.find(out.manifest.name);
    EW_CHECK(check_imports(
        facts, allowed == allowed_imports.end() ? std::vector<std::string>() : allowed->second));
    EW_CHECK(check_entry(facts));
    if (facts.never_unloads) out.pinned_by.emplace_back("the flag DF_1_NODELETE");
    for (const Pinning& pinning : kPinning) {
        if (std::ranges::find(facts.imports, pinning.import) != facts.imports.end())
            out.pinned_by.emplace_back(pinning.why);
    }
    return out;
}

}  // namespace export_worker::plugins
