// Imports that a plugin may not have, by what calling them does to the process that loads it.
//
// The lint reads names only: it finds mistakes, and code that uses system calls or dlsym() gets
// past it. The probe finds part of that by its effect.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugins/inspection/elf_file.hpp"
#include "daemon/plugins/refusal.hpp"

namespace export_worker::plugins {

// Why no plugin may import `name`; empty: it may. [any-thread]
[[nodiscard]] std::string_view forbidden_import(std::string_view name);

// Refused (lint): a forbidden import that `allowed` does not name. setlocale passes with a
// libstdc++ that is linked statically, whose std::locale::global() imports it. [any-thread]
[[nodiscard]] Verdict<void> check_imports(const ElfFacts& facts,
                                          const std::vector<std::string>& allowed);

}  // namespace export_worker::plugins
