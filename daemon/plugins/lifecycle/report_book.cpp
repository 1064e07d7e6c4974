#include "daemon/plugins/lifecycle/report_book.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "base/thread_role.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"

namespace export_worker::plugins {

std::uint64_t ReportBook::add(const ReloadRequest& request, bool waits_for_bake) {
    const std::lock_guard lock(mutex_);
    // The same again, not begun yet: once is enough.
    const ReloadReport* const same = request.plugin.empty() ? nullptr : queue_.same_as(request);
    if (same != nullptr) return same->id;
    auto report = std::make_unique<ReloadReport>();
    report->id = ++last_id_;
    report->request = request;
    report->plugin = request.plugin;
    report->started_us = clock_.unix_us();
    if (waits_for_bake) report->steps.push_back({"queued", "waits for the end of the bake", 0});
    queue_.add(*report);
    reports_.push_back(std::move(report));
    const auto oldest =
        std::ranges::find_if(reports_, [](const auto& each) { return each->ended(); });
    if (reports_.size() > limits::kPluginReportsMax && oldest != reports_.end())
        reports_.erase(oldest);
    return last_id_;
}

ReloadReport* ReportBook::find_locked(std::uint64_t id) const {
    const auto found = std::ranges::find(reports_, id, &ReloadReport::id);
    return found == reports_.end() ? nullptr : found->get();
}

std::optional<ReloadReport> ReportBook::find(std::uint64_t id) const {
    const std::lock_guard lock(mutex_);
    const ReloadReport* const found = find_locked(id);
    return found == nullptr ? std::nullopt : std::optional(*found);
}

ReloadReport ReportBook::wait_for(std::uint64_t id, const Patience& patience) const {
    std::unique_lock lock(mutex_);
    for (;;) {
        const ReloadReport* const found = find_locked(id);
        EW_ASSERT(found != nullptr);
        if (found->outcome != "running") return *found;
        const bool may_go_on =
            found->committed_serves && clock_.steady() >= patience.committed_until;
        if (may_go_on || patience.is_cancelled()) return *found;
        changed_.wait_for(lock, clock_.block_for(std::chrono::milliseconds(100)));
    }
}

std::map<std::string, std::uint64_t> ReportBook::counts() const {
    const std::lock_guard lock(mutex_);
    return counts_;
}

std::optional<ReloadReport> ReportBook::by_operator(const std::string& plugin) const {
    const std::lock_guard lock(mutex_);
    const bool loads = loading_ != nullptr && !loading_->request.dry_run &&
                       loading_->request.origin() == Origin::kOperator &&
                       loading_->plugin == plugin;
    const ReloadReport* const found = loads ? loading_ : queue_.operators(plugin);
    return found == nullptr ? std::nullopt : std::optional(*found);
}

std::optional<ReportBook::LoadUnderWay> ReportBook::load_under_way() const {
    const std::lock_guard lock(mutex_);
    if (loading_ == nullptr) return std::nullopt;
    return LoadUnderWay{*loading_, loading_since_};
}

void ReportBook::update(std::uint64_t id, const std::function<void(ReloadReport&)>& change) {
    const std::lock_guard lock(mutex_);
    if (ReloadReport* const found = find_locked(id)) change(*found);
}

std::optional<ReloadReport> ReportBook::take(const Condition& may_begin,
                                             const Condition& needs_load) {
    EW_ASSERT_ROLE(kSupervisor);
    const std::lock_guard lock(mutex_);
    const ReloadReport* const taken = queue_.take(may_begin);
    if (taken == nullptr) return std::nullopt;
    if (needs_load(taken->request)) {
        EW_ASSERT(loading_ == nullptr);
        loading_ = taken;
        loading_since_ = clock_.steady();
    }
    return *taken;
}

void ReportBook::complete(std::uint64_t id, const Verdict<std::string>& done) {
    EW_ASSERT_ROLE(kSupervisor);
    if (!done) update(id, [&](ReloadReport& report) { report.refusal = done.error(); });
    const ReloadReport report = *find(id);
    if (!done) {
        log_warn("plugin {}: {}", report.plugin.empty() ? report.file : report.plugin,
                 to_text(done.error()));
    }
    const std::string outcome = done ? *done : "refused";
    if (outcome != "unchanged") {
        record(report, outcome, "");
    } else {
        log_info("plugin {}: nothing to do (report {}, asked for by {})", report.plugin, id,
                 report.request.trigger);
    }
    {
        // At one moment: who sees the outcome may ask for the next action.
        const std::lock_guard lock(mutex_);
        ReloadReport& ended = *find_locked(id);
        ended.outcome = outcome;
        if (loading_ == &ended) loading_ = nullptr;
        if (outcome != "baking") ++counts_[outcome];
        if (ended.refusal) ++counts_["refused_" + ended.refusal->code];
    }
    changed_.notify_all();
}

void ReportBook::end_bake(std::uint64_t id, const std::string& outcome, const std::string& detail) {
    EW_ASSERT_ROLE(kSupervisor);
    if (outcome == "rolled_back")
        update(id, [&](ReloadReport& report) { report.rolled_back_because = detail; });
    const std::optional<ReloadReport> report = find(id);
    if (!report) return;
    record(*report, outcome, detail);
    set_outcome(id, outcome);
}

void ReportBook::set_outcome(std::uint64_t id, const std::string& outcome) {
    {
        const std::lock_guard lock(mutex_);
        ReloadReport* const report = find_locked(id);
        if (report == nullptr) return;
        report->outcome = outcome;
        ++counts_[outcome];
    }
    changed_.notify_all();
}

void ReportBook::pause_load() {
    EW_ASSERT_ROLE(kSupervisor);
    const std::lock_guard lock(mutex_);
    loading_ = nullptr;
}

void ReportBook::resume_load(std::uint64_t id) {
    EW_ASSERT_ROLE(kSupervisor);
    const std::lock_guard lock(mutex_);
    EW_ASSERT(loading_ == nullptr);
    loading_ = find_locked(id);
    loading_since_ = clock_.steady();
}

bool ReportBook::is_start_waiting() const {
    const std::lock_guard lock(mutex_);
    return queue_.has_start();
}

void ReportBook::record(const ReloadReport& report, const std::string& outcome,
                        const std::string& detail) {
    HistoryEntry entry;
    entry.plugin = report.plugin;
    entry.at_us = clock_.unix_us();
    entry.trigger = report.request.trigger;
    entry.file = report.file;
    entry.sha256 = report.sha256;
    entry.version = report.version;
    entry.generation = static_cast<std::int64_t>(report.generation);
    entry.outcome = outcome;
    entry.code = report.refusal ? report.refusal->code : "";
    entry.detail = report.refusal ? to_text(*report.refusal) : detail;
    // In the order in which they happened.
    if (!unwritten_.empty() || !write_down(entry)) unwritten_.push_back(std::move(entry));
    if (unwritten_.size() > limits::kPluginReportsMax) unwritten_.pop_front();
    fault_point("plugin.history_written");
}

bool ReportBook::write_down(const HistoryEntry& entry) {
    auto added = history_.add(entry);
    if (added) return true;
    log_error("plugin {}: history: {}; tried again", entry.plugin, added.error().message);
    write_again_ = clock_.steady() + std::chrono::seconds(1);
    return false;
}

void ReportBook::write_again() {
    EW_ASSERT_ROLE(kSupervisor);
    if (clock_.steady() < write_again_) return;
    while (!unwritten_.empty() && write_down(unwritten_.front())) unwritten_.pop_front();
}

std::vector<std::uint64_t> ReportBook::drop_automatic(const std::string& plugin) {
    const std::lock_guard lock(mutex_);
    std::vector<std::uint64_t> out;
    for (const ReloadReport* report : queue_.drop_automatic(plugin)) out.push_back(report->id);
    return out;
}

void ReportBook::visit_windows(const std::function<void(const ReloadReport&, SwapWindow&)>& close) {
    const std::lock_guard lock(mutex_);
    for (const auto& report : reports_) {
        if (report->window && !report->window->closed) close(*report, *report->window);
    }
}

bool ReportBook::has_open_window() const {
    const std::lock_guard lock(mutex_);
    return std::ranges::any_of(
        reports_, [](const auto& report) { return report->window && !report->window->closed; });
}

}  // namespace export_worker::plugins
