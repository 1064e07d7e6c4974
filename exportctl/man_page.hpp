// Manual pages in roff (man(7)), made when the project is built: exportctl _man PAGE.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace export_worker::exportctl {

// exportctl.1, from the table of commands.
[[nodiscard]] std::string command_page(std::string_view version);
// export-workerd.8, export-httpd.8: `help` is what PROGRAM --help prints.
[[nodiscard]] std::string daemon_page(std::string_view program, std::string_view version,
                                      std::string_view help);
// export-worker.ini.5: `sample` is etc/export-worker.ini, whose comments explain the keys.
[[nodiscard]] std::string configuration_page(std::string_view version, std::string_view sample);

// The page of this name. Errors: kNotFound for another name.
[[nodiscard]] Result<std::string> man_page(std::string_view page, std::string_view version,
                                           std::string_view input);

}  // namespace export_worker::exportctl
