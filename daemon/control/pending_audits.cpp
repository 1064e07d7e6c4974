#include "daemon/control/pending_audits.hpp"

#include "base/json.hpp"
#include "daemon/control/audit.hpp"
#include "daemon/control/limits.hpp"
#include "protocol/message/reply.hpp"

namespace export_worker::control {
namespace {

constexpr std::string_view kUnknown = "unknown";

// Empty while it runs.
std::string outcome_of(const ControlDeps& deps, std::uint64_t report_id) {
    const auto report = deps.plugins.report(report_id);
    if (!report) return std::string(kUnknown);
    if (report->outcome == "running") return {};
    if (report->refusal) return std::string(report->refusal->code);
    return report->rolled_back_because ? "rolled_back" : "ok";
}

}  // namespace

PendingAudits::PendingAudits(const ControlDeps& deps) : deps_(deps) {}

PendingAudits::~PendingAudits() {
    write_ended();
    for (const auto* queue : {&tasks_, &reports_}) {
        for (const Pending& pending : *queue) write(pending, kUnknown);
    }
}

void PendingAudits::add(std::string_view body, const transport::PeerCredentials& peer,
                        std::string_view reply, SteadyTime began) {
    const auto request = message::decode_request(body);
    if (!request || !begins_work(*request, reply)) return;
    const nlohmann::json result = parse_msgpack(message::decode_reply(reply)->result);
    const auto report = result.find("report");
    const bool has_report = report != result.end() && report->is_number_unsigned();
    std::deque<Pending>& queue = has_report ? reports_ : tasks_;
    queue.push_back({std::string(body), std::string(reply), peer, began,
                     has_report ? report->get<std::uint64_t>() : 0});
    if (queue.size() <= limits::kAuditsPendingMax) return;
    write(queue.front(), kUnknown);
    queue.pop_front();
}

void PendingAudits::write_ended() {
    for (const std::string& outcome : deps_.task.take_outcomes()) {
        if (tasks_.empty()) continue;
        write(tasks_.front(), outcome);
        tasks_.pop_front();
    }
    std::erase_if(reports_, [&](const Pending& pending) {
        const std::string outcome = outcome_of(deps_, pending.report_id);
        if (!outcome.empty()) write(pending, outcome);
        return !outcome.empty();
    });
}

void PendingAudits::write(const Pending& pending, std::string_view outcome) const {
    const auto request = message::decode_request(pending.body);
    if (!request) return;
    write_audit_line(
        {pending.peer, &*request, pending.reply, deps_.clock.steady() - pending.began, outcome},
        parse_msgpack(request->params));
}

}  // namespace export_worker::control
