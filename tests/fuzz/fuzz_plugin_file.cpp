// Plugin files from anywhere: judged or refused, never read out of bounds.
#include <elf.h>

#include <cstring>
#include <string>

#include "daemon/plugins/inspection/elf_file.hpp"
#include "daemon/plugins/inspection/inspection.hpp"

namespace {

// The same bytes behind a header that gets past the first checks: most inputs would end there.
std::string with_header(std::string bytes) {
    Elf64_Ehdr header{};
    if (bytes.size() < sizeof header) bytes.resize(sizeof header);
    std::memcpy(&header, bytes.data(), sizeof header);
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    header.e_type = ET_DYN;
#if defined(__x86_64__)
    header.e_machine = EM_X86_64;
#else
    header.e_machine = EM_AARCH64;
#endif
    header.e_phentsize = sizeof(Elf64_Phdr);
    header.e_shentsize = sizeof(Elf64_Shdr);
    header.e_phnum %= 16;
    header.e_shnum %= 16;
    header.e_phoff %= bytes.size();
    header.e_shoff %= bytes.size();
    std::memcpy(bytes.data(), &header, sizeof header);
    return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    (void)export_worker::plugins::inspect(bytes);
    (void)export_worker::plugins::inspect(with_header(bytes));
    (void)export_worker::plugins::find_build_id(bytes);
    return 0;
}
