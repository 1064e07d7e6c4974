#include "daemon/control/operator_calls.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/bounded_thread.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/control/limits.hpp"
#include "protocol/message/reply.hpp"

namespace export_worker::control {

using message::WireCode;
using std::chrono::milliseconds;

struct OperatorCalls::Call {
    OperatorRequest request;
    message::Request decoded;  // Views into request.body.
    SteadyTime deadline;
    std::string reply;  // The thread's until `ended`.
    std::atomic<bool> ended{false};
};

OperatorCalls::OperatorCalls(Run run, const Clock& clock, const WakeEvent& finished)
    : run_(std::move(run)), clock_(clock), finished_(finished) {}

OperatorCalls::~OperatorCalls() {
    EW_ASSERT(stop(milliseconds(0)) == 0);
}

std::optional<message::WireError> OperatorCalls::begin(OperatorRequest& request) {
    const auto decoded = message::decode_request(request.body);
    EW_ASSERT(decoded.has_value());  // The caller has looked.
    if (decoded->deadline_ms == 0)
        return message::make_error(WireCode::kExpired, "the deadline had passed on arrival");
    {
        const std::lock_guard lock(running_->mutex);
        if (running_->count >= limits::kOperatorCallsMax) {
            return message::make_error(
                WireCode::kOverloaded,
                std::to_string(running_->count) +
                    " requests of operators are inside plugins and have not returned; exportctl "
                    "plugin show names them, plugin rollback helps against new ones");
        }
        ++running_->count;
    }
    const auto call = std::make_shared<Call>();
    call->request = std::move(request);
    call->decoded = *message::decode_request(call->request.body);
    call->deadline = call->request.began + milliseconds(call->decoded.deadline_ms);
    unanswered_.push_back(call);
    start(call);
    return std::nullopt;
}

void OperatorCalls::start(const std::shared_ptr<Call>& call) {
    BoundedThread thread([this, call, running = running_] {
        name_this_thread("operator call");
        set_thread_role(ThreadRole::kWorker);
        run_(call->decoded, call->deadline, call->reply);
        call->ended.store(true);
        finished_.signal();
        const std::lock_guard lock(running->mutex);
        --running->count;
        running->changed.notify_all();
    });
    thread.leave_behind();
}

std::vector<OperatorRequest> OperatorCalls::take_answered() {
    std::vector<OperatorRequest> out;
    const SteadyTime now = clock_.steady();
    std::erase_if(unanswered_, [&](const std::shared_ptr<Call>& call) {
        if (call->ended.load()) {
            OperatorRequest& answered = out.emplace_back(std::move(call->request));
            answered.reply = std::move(call->reply);
            return true;
        }
        if (now < call->deadline) return false;
        log_error("request {} of an operator: {} is past its deadline and still inside the plugin",
                  printable(call->decoded.id), printable(call->decoded.method));
        OperatorRequest& late = out.emplace_back(call->request);  // The thread still reads it.
        message::encode_error(late.reply, call->decoded.id,
                              message::make_error(WireCode::kDeadlineExceeded,
                                                  "the deadline passed while the plugin worked"),
                              nullptr);
        return true;
    });
    return out;
}

milliseconds OperatorCalls::wait_timeout(milliseconds longest) const {
    milliseconds out = longest;
    const SteadyTime now = clock_.steady();
    for (const auto& call : unanswered_) {
        const auto left = std::chrono::ceil<milliseconds>(std::max(call->deadline, now) - now);
        out = std::min(out, left);
    }
    return clock_.block_for(out);
}

unsigned OperatorCalls::stop(milliseconds timeout) {
    std::unique_lock lock(running_->mutex);
    running_->changed.wait_for(lock, timeout, [this] { return running_->count == 0; });
    return running_->count;
}

}  // namespace export_worker::control
