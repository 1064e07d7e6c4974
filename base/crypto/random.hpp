// Random bytes that nobody can guess.
#pragma once

#include <cstdint>
#include <span>

namespace export_worker::crypto {

// From OpenSSL's generator. Aborts when the system has no randomness: nothing here is safe then.
void fill_random(std::span<std::uint8_t> out);

}  // namespace export_worker::crypto
