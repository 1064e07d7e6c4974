#include "daemon/jobs/file_key.hpp"

#include <algorithm>

#include "base/hex.hpp"
#include "base/text.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::jobs {
namespace {

constexpr std::size_t kKeyClaimDigits = 8;

// EPOCH-CLAIM; EPOCH alone in keys of version 0.1.
bool is_attempt(std::string_view text) {
    const std::size_t dash = text.find('-');
    if (!parse_unsigned(text.substr(0, dash))) return false;
    if (dash == std::string_view::npos) return true;
    const std::string_view claim = text.substr(dash + 1);
    return claim.size() == kKeyClaimDigits && from_hex(claim).has_value();
}

}  // namespace

model::FileKey file_key(const ClaimedJob& job, std::string_view extension) {
    return job.organization_id + "/" + job.lease.job_id + "." + std::to_string(job.lease.epoch) +
           "-" + job.lease.claim_token.substr(0, kKeyClaimDigits) + "." + std::string(extension);
}

std::string job_id_of(std::string_view key) {
    const std::size_t slash = key.find('/');
    if (slash == std::string_view::npos || key.find('/', slash + 1) != std::string_view::npos)
        return "";
    const std::string_view name = key.substr(slash + 1);
    const std::size_t first = name.find('.');
    const std::size_t second = name.find('.', std::min(first + 1, name.size()));
    if (first == 0 || first == std::string_view::npos || second == std::string_view::npos ||
        !is_attempt(name.substr(first + 1, second - first - 1)))
        return "";
    return std::string(name.substr(0, first));
}

std::string job_id_of_url(std::string_view file_url) {
    // What cannot be decoded is written as it is.
    const std::string path = signing::percent_decode(file_url).value_or(std::string(file_url));
    const std::size_t last = path.rfind('/');
    if (last == std::string::npos || last == 0) return "";
    const std::size_t before = path.rfind('/', last - 1);
    return job_id_of(std::string_view(path).substr(before == std::string::npos ? 0 : before + 1));
}

}  // namespace export_worker::jobs
