#include "base/crypto/random.hpp"

#include <openssl/rand.h>

#include <array>
#include <cstring>

#include "base/assert.hpp"

namespace export_worker::crypto {

void fill_random(std::span<std::uint8_t> out) {
    EW_ASSERT(RAND_bytes(out.data(), static_cast<int>(out.size())) == 1);
}

void fill_id(std::span<std::uint8_t> out) {
    // Trivial on purpose: a destructor of a thread-local object would keep a plugin's image mapped.
    struct Block {
        std::array<std::uint8_t, 1024> bytes;
        std::size_t used;
    };
    static thread_local Block block{{}, sizeof block.bytes};
    EW_ASSERT(out.size() <= 64);
    if (block.bytes.size() - block.used < out.size()) {
        fill_random(block.bytes);
        block.used = 0;
    }
    std::memcpy(out.data(), block.bytes.data() + block.used, out.size());
    block.used += out.size();
}

}  // namespace export_worker::crypto
