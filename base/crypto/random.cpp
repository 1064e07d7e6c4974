#include "base/crypto/random.hpp"

#include <openssl/rand.h>

#include "base/assert.hpp"

namespace export_worker::crypto {

void fill_random(std::span<std::uint8_t> out) {
    EW_ASSERT(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1);
}

}  // namespace export_worker::crypto
