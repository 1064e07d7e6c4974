#include "daemon/jobs/unwritten_holds.hpp"

namespace export_worker::jobs {

void UnwrittenHolds::set(const std::string& organization_id, bool held) {
    const std::lock_guard lock(mutex_);
    if (held) {
        ids_.insert(organization_id);
    } else {
        ids_.erase(organization_id);
    }
}

bool UnwrittenHolds::contains(const std::string& organization_id) const {
    const std::lock_guard lock(mutex_);
    return ids_.contains(organization_id);
}

std::vector<std::string> UnwrittenHolds::ids() const {
    const std::lock_guard lock(mutex_);
    return {ids_.begin(), ids_.end()};
}

}  // namespace export_worker::jobs
