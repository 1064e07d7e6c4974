// Text between C++ and the plugin ABI. Views both ways: nothing is copied.
#pragma once

#include <string_view>

#include "protocol/plugin_abi/types.h"

namespace export_worker::download_url {

inline std::string_view view_of(ew_string text) {
    return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
inline ew_string abi_string(std::string_view text) {
    return {text.data(), text.size()};
}

}  // namespace export_worker::download_url
