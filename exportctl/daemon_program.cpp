#include "exportctl/daemon_program.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "exportctl/output.hpp"

namespace export_worker::exportctl {
namespace {

std::filesystem::path own_directory() {
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    return error ? std::filesystem::path(".") : self.parent_path();
}

}  // namespace

int run_daemon_program(const Context& context, const options::Arguments& arguments,
                       std::vector<std::string> words) {
    const std::string daemon =
        arguments.get("daemon", (own_directory() / "export-workerd").string());
    words.insert(words.begin(), daemon);
    if (context.json) words.emplace_back("--json");
    std::vector<char*> raw;
    raw.reserve(words.size() + 1);
    for (std::string& word : words) raw.push_back(word.data());
    raw.push_back(nullptr);
    ::execv(daemon.c_str(), raw.data());
    return complain(kExitUnavailable,
                    "run " + daemon + ": " + std::strerror(errno) + "; name it with --daemon FILE");
}

}  // namespace export_worker::exportctl
