// Plugin files from anywhere: judged or refused, never read out of bounds.
#include <string_view>

#include "daemon/plugin_host/inspection.hpp"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    (void)export_worker::plugin_host::inspect(bytes);
    (void)export_worker::plugin_host::find_build_id(bytes);
    return 0;
}
