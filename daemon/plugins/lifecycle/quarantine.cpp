#include "daemon/plugins/lifecycle/quarantine.hpp"

#include <algorithm>
#include <vector>

#include "base/text.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"

namespace export_worker::plugins {
namespace {

constexpr const char* kList = "; exportctl plugin quarantine list shows them";
constexpr std::size_t kSha256Digits = 64;
constexpr std::size_t kNamedMax = 4;

Result<void> check_digits(const std::string& digits) {
    const bool is_hash = digits.size() >= limits::kPluginHashDigitsMin &&
                         digits.size() <= kSha256Digits &&
                         digits.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (is_hash) return {};
    return fail(ErrorCode::kInvalidArgument,
                "hash: expected " + std::to_string(limits::kPluginHashDigitsMin) + " to " +
                    std::to_string(kSha256Digits) +
                    " hexadecimal digits (0-9, a-f) of a quarantined file, found '" +
                    printable(digits) + "'" + kList);
}

tl::unexpected<Error> several(const std::vector<Quarantined>& files, const std::string& digits) {
    std::string named;
    for (std::size_t index = 0; index < files.size() && index < kNamedMax; ++index)
        named += (index == 0 ? "" : ", ") + files[index].sha256.substr(0, digits.size() + 8) +
                 " (" + files[index].plugin + ")";
    return fail(ErrorCode::kConflict, "hash: expected one quarantined file, found " +
                                          std::to_string(files.size()) + " that begin with " +
                                          digits + ": " + named + "; give more digits");
}

}  // namespace

Result<Quarantined> lift_quarantine(History& history, const std::string& digits,
                                    const std::string& detail) {
    EW_CHECK(check_digits(digits));
    EW_TRY(std::vector<Quarantined> files, history.all_quarantined());
    std::erase_if(files, [&](const Quarantined& file) { return !file.sha256.starts_with(digits); });
    if (files.empty()) {
        return fail(ErrorCode::kNotFound,
                    "hash: no quarantined file begins with " + digits + kList);
    }
    if (files.size() > 1) return several(files, digits);
    EW_CHECK(history.lift_quarantine(files.front(), detail));
    return files.front();
}

}  // namespace export_worker::plugins
