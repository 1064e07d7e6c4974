// Whether the writes of a database survive a power cut.
#pragma once

#include <cstdint>

namespace export_worker::sqlite {

enum class Durability : std::uint8_t {
    // Every commit is synced to the disk. The daemon has no other setting.
    kSynced,
    // Nothing is synced. A crash of the process loses nothing, a crash of the machine may damage
    // the file. Only for tests: hundreds of them wait for no disk.
    kUnsyncedForTest,
};

}  // namespace export_worker::sqlite
