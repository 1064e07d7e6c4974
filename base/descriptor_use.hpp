// How many descriptors this process has open, and how many it may.
#pragma once

#include <cstdint>
#include <optional>

namespace export_worker {

struct DescriptorUse {
    std::uint64_t open = 0;
    std::uint64_t limit = 0;  // RLIMIT_NOFILE, soft.
};

// nullopt: /proc tells nothing. Needs no free descriptor but for the first call. [any-thread]
[[nodiscard]] std::optional<DescriptorUse> read_descriptor_use();

}  // namespace export_worker
