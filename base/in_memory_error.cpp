#include "base/in_memory_error.hpp"

#include <utility>

namespace export_worker {
namespace {

constexpr std::string_view kUntilRestart =
    " at once, but only until the daemon restarts: it could not be written (";

}  // namespace

Error in_memory_error(std::string_view change, const Error& cause) {
    std::string message(change);
    message += kUntilRestart;
    message += cause.message +
               "); free space in state_dir, or see to the database, and run the command again";
    return {cause.code, std::move(message)};
}

bool is_in_memory_error(const Error& error) {
    return error.message.find(kUntilRestart) != std::string::npos;
}

}  // namespace export_worker
