// MD5, for the one thing it is still asked for: Content-MD5, the checksum every object store
// verifies (RFC 1864). Guards against accidents on the way, not against anybody.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace export_worker::crypto {

using Md5Digest = std::array<std::uint8_t, 16>;

// nullopt where OpenSSL offers no MD5 (FIPS mode): then nothing is checked.
[[nodiscard]] std::optional<Md5Digest> md5(std::string_view bytes);

}  // namespace export_worker::crypto
