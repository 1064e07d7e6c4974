#include "daemon/plugins/lifecycle/reload_queue.hpp"

#include <algorithm>

namespace export_worker::plugins {
namespace {

int rank(const ReloadRequest& request) {
    if (request.origin() != Origin::kOperator) return 2;
    return request.loads() ? 1 : 0;
}

}  // namespace

void ReloadQueue::add(ReloadReport& report) {
    const auto behind = std::ranges::upper_bound(
        waiting_, rank(report.request), {},
        [](const ReloadReport* waiting) { return rank(waiting->request); });
    waiting_.insert(behind, &report);
}

const ReloadReport* ReloadQueue::same_as(const ReloadRequest& request) const {
    const auto found = std::ranges::find_if(
        waiting_, [&](const ReloadReport* waiting) { return waiting->request == request; });
    return found == waiting_.end() ? nullptr : *found;
}

const ReloadReport* ReloadQueue::operators(const std::string& plugin) const {
    const auto found = std::ranges::find_if(waiting_, [&](const ReloadReport* waiting) {
        const ReloadRequest& request = waiting->request;
        return request.plugin == plugin && request.origin() == Origin::kOperator &&
               !request.dry_run;
    });
    return found == waiting_.end() ? nullptr : *found;
}

bool ReloadQueue::has_start() const {
    return std::ranges::any_of(waiting_, [](const ReloadReport* waiting) {
        return waiting->request.origin() == Origin::kStart;
    });
}

ReloadReport* ReloadQueue::take(const std::function<bool(const ReloadRequest&)>& may_begin) {
    const auto found = std::ranges::find_if(
        waiting_, [&](const ReloadReport* waiting) { return may_begin(waiting->request); });
    if (found == waiting_.end()) return nullptr;
    ReloadReport* const out = *found;
    waiting_.erase(found);
    return out;
}

std::vector<ReloadReport*> ReloadQueue::drop_automatic(const std::string& plugin) {
    std::vector<ReloadReport*> out;
    std::erase_if(waiting_, [&](ReloadReport* waiting) {
        const ReloadRequest& request = waiting->request;
        const bool drops = request.plugin == plugin && request.origin() != Origin::kOperator;
        if (drops) out.push_back(waiting);
        return drops;
    });
    return out;
}

}  // namespace export_worker::plugins
