#include "daemon/postgres/lookups.hpp"

#include <algorithm>
#include <chrono>
#include <unordered_map>

#include "daemon/postgres/limits.hpp"

namespace export_worker::postgres {
namespace {

std::unordered_map<std::string_view, int> indexes_by_key(const Rows& rows) {
    std::unordered_map<std::string_view, int> out;
    out.reserve(static_cast<std::size_t>(rows.size()));
    for (int index = 0; index < rows.size(); ++index) out.emplace(rows[index].text(0), index);
    return out;
}

}  // namespace

Result<FoundRow> Lookups::find(std::string_view key) {
    const auto caller = std::make_shared<Caller>(key);
    {
        std::unique_lock lock(mutex_);
        if (rounds_ < limits::kLookupRoundsMax) {
            ++rounds_;
        } else {
            EW_TRY(const bool sends, wait_in_queue(lock, caller));
            if (!sends) return std::move(caller->found);
        }
    }
    send_round(caller);
    return std::move(caller->found);
}

std::size_t Lookups::rounds() const {
    const std::lock_guard lock(mutex_);
    return rounds_;
}

std::size_t Lookups::waiting() const {
    const std::lock_guard lock(mutex_);
    return queue_.size();
}

Result<bool> Lookups::wait_in_queue(std::unique_lock<std::mutex>& lock,
                                    const std::shared_ptr<Caller>& caller) {
    queue_.push_back(caller);
    const SteadyTime until = std::chrono::steady_clock::now() + wait_max_;
    const bool in_time =
        caller->changed.wait_until(lock, until, [&] { return caller->state != State::kWaits; });
    if (in_time) return caller->state == State::kSends;
    std::erase(queue_, caller);
    return fail(ErrorCode::kUnavailable, "PostgreSQL: a lookup had no answer in time");
}

void Lookups::send_round(const std::shared_ptr<Caller>& sender) {
    const Callers callers = take_with(sender);
    std::vector<std::string> keys;
    keys.reserve(callers.size());
    for (const auto& caller : callers) keys.push_back(caller->key);
    answer(callers,
           database_.read([&](Connection& connection) { return connection.query(sql_, keys); }));
    pass_place_on();
}

Lookups::Callers Lookups::take_with(const std::shared_ptr<Caller>& sender) {
    const std::lock_guard lock(mutex_);
    Callers out{sender};
    while (!queue_.empty() && out.size() < limits::kLookupKeysMax) {
        out.push_back(std::move(queue_.front()));
        queue_.pop_front();
    }
    return out;
}

void Lookups::pass_place_on() {
    const std::lock_guard lock(mutex_);
    if (queue_.empty()) {
        --rounds_;
        return;
    }
    const std::shared_ptr<Caller> next = std::move(queue_.front());
    queue_.pop_front();
    next->state = State::kSends;
    next->changed.notify_one();
}

void Lookups::answer(const Callers& callers, Result<Rows> rows) {
    std::shared_ptr<const Rows> shared;
    std::unordered_map<std::string_view, int> indexes;
    if (rows) {
        shared = std::make_shared<const Rows>(std::move(*rows));
        indexes = indexes_by_key(*shared);
    }
    const std::lock_guard lock(mutex_);
    for (const auto& caller : callers) {
        if (!rows) {
            caller->found = fail(rows.error());
        } else if (const auto found = indexes.find(caller->key); found != indexes.end()) {
            caller->found = FoundRow(shared, found->second);
        }
        caller->state = State::kAnswered;
        caller->changed.notify_one();
    }
}

}  // namespace export_worker::postgres
