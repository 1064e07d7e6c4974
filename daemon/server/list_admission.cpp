#include "daemon/server/list_admission.hpp"

#include "base/assert.hpp"
#include "daemon/server/limits.hpp"

namespace export_worker::server {

ListAdmission::Entry ListAdmission::enter(Call& call, const std::string& organization_id) {
    call.list_of = organization_id;
    if (organization_id.empty()) return Entry::kRuns;
    const std::lock_guard lock(mutex_);
    Line& line = lines_[organization_id];
    if (line.running < limits::kListsRunningPerOrganization) {
        ++line.running;
        return Entry::kRuns;
    }
    if (line.waiting >= limits::kListsWaitingPerOrganization) return Entry::kRefused;
    ++line.waiting;
    call.next_queued = nullptr;
    (line.first == nullptr ? line.first : line.last->next_queued) = &call;
    line.last = &call;
    return Entry::kWaits;
}

Call* ListAdmission::leave(const Call& call) {
    if (call.list_of.empty()) return nullptr;
    const std::lock_guard lock(mutex_);
    const auto found = lines_.find(call.list_of);
    EW_ASSERT(found != lines_.end());
    Line& line = found->second;
    Call* const next = line.first;
    if (next == nullptr) {
        if (--line.running == 0) lines_.erase(found);
        return nullptr;
    }
    line.first = next->next_queued;
    --line.waiting;
    return next;
}

}  // namespace export_worker::server
