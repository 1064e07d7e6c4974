#include "daemon/server/call_table.hpp"

#include <string>

#include "base/assert.hpp"

namespace export_worker::server {
namespace {

using State = CallProgress::State;

void shrink(std::string& buffer) {
    if (buffer.capacity() > limits::kCallBufferKeptBytesMax) std::string().swap(buffer);
}

}  // namespace

CallTable::CallTable() : calls_(limits::kCallsMax) {
    free_.reserve(calls_.size());
    overdue_.reserve(calls_.size());
    stalled_.reserve(calls_.size());
    for (Call& call : calls_) free_.push_back(&call);
}

Call& CallTable::next_slot() {
    return free_.empty() ? refused_ : *free_.back();
}

bool CallTable::has_slot_for(const Call& call) const {
    return class_calls_[call.peer_class] < free_.size();
}

bool CallTable::has_bytes_for(const Call& call) const {
    return bytes_ + call.body.size() <= limits::kCallsBytesMax;
}

void CallTable::occupy(Call& call) {
    EW_ASSERT(!free_.empty() && &call == free_.back());
    free_.pop_back();
    ++class_calls_[call.peer_class];
    bytes_ += call.body.size();
    occupied_.fetch_add(1);
}

void CallTable::release(Call& call) {
    bytes_ -= call.body.size();
    --class_calls_[call.peer_class];
    trim(call);
    call.progress.reset();
    free_.push_back(&call);
    occupied_.fetch_sub(1);
}

void CallTable::trim(Call& call) {
    shrink(call.body);
    shrink(call.reply);
}

std::span<Call* const> CallTable::overdue(SteadyTime now) {
    overdue_.clear();
    for (Call& call : calls_) {
        const State state = call.progress.state();
        const bool pending = state == State::kQueued || state == State::kRunning;
        if (pending && !call.answered && now >= call.deadline) overdue_.push_back(&call);
    }
    return overdue_;
}

std::span<Call* const> CallTable::stalled(SteadyTime now) {
    stalled_.clear();
    for (Call& call : calls_) {
        if (call.progress.state() == State::kRunning && !call.commits && !call.lists &&
            now - call.progress.started() > limits::kWorkerStall)
            stalled_.push_back(&call);
    }
    return stalled_;
}

}  // namespace export_worker::server
