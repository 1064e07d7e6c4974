// Random bytes that nobody can guess.
#pragma once

#include <cstdint>
#include <span>

namespace export_worker::crypto {

// From OpenSSL's generator. Aborts when the system has no randomness: nothing here is safe then.
void fill_random(std::span<std::uint8_t> out);
// The same for names that must be unique and not guessed, but are no secret: request, job and trace
// ids. A thread asks the generator for a block at a time. After fork() both sides would make the
// same names: exec, or use fill_random(). At most 64 bytes.
void fill_id(std::span<std::uint8_t> out);

}  // namespace export_worker::crypto
