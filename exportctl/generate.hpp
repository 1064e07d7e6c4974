// A made-up but realistic catalog, the same for the same seed on every machine.
//
// Five product types; nested and multi-valued properties; names with non-ASCII letters, quotes,
// commas and newlines; values that start with = + - @; about every third product has variants.
#pragma once

#include <cstdint>
#include <string>

namespace export_worker::exportctl {

// Product number `index` (from 0) as one line of JSON without its newline.
[[nodiscard]] std::string generate_product(std::uint64_t seed, std::uint64_t index);

}  // namespace export_worker::exportctl
