// Links and names from strangers: no input verifies without the key, no name escapes its header.
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "signing/content_disposition.hpp"
#include "signing/local_link.hpp"
#include "signing/percent_encoding.hpp"

using namespace export_worker;
using namespace export_worker::signing;

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    const LocalLinkKey keys[] = {{"k", "0123456789abcdef"}};
    const LocalLinkStore stores[] = {{"local", keys}};
    if (verify_local_link(text, stores, 0)) std::abort();
    if (percent_decode(percent_encode(text)) != text) std::abort();
    const std::string disposition = content_disposition(text);
    for (const char c : disposition) {
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f)
            std::abort();
    }
    if (!is_valid_utf8(safe_filename(text)) || safe_filename(text).find('/') != std::string::npos)
        std::abort();
    for (const char* store : {"", "local"}) {
        const auto link =
            sign_local_link({"https://h", text, "k", keys[0].secret, 10, text, store});
        if (!link) continue;
        const auto verified = verify_local_link(std::string_view(link->url).substr(9), stores, 9);
        if (!verified || verified->path != text || verified->filename != text) std::abort();
    }
    (void)parse_local_link_keys(text);
    return 0;
}
