#include "base/options/check_command.hpp"

#include <cstdio>

#include "base/exit_status.hpp"

namespace export_worker::options {

int report_check(const char* program, const std::string& path, const ConfigCheck& found) {
    int status = 0;
    for (const std::string& note : found.notes)
        std::fprintf(stderr, "%s: note: %s\n", program, note.c_str());
    for (const std::string& warning : found.warnings)
        std::fprintf(stderr, "%s: warning: %s\n", program, warning.c_str());
    for (const Error& complaint : found.complaints) {
        std::fprintf(stderr, "%s: %s: %s\n", program, path.c_str(), complaint.message.c_str());
        status = std::max(status, start_exit_status(complaint.code));
    }
    if (status == 0) std::printf("%s: good\n", path.c_str());
    return status;
}

}  // namespace export_worker::options
