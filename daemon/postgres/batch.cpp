#include "daemon/postgres/batch.hpp"

#include <algorithm>
#include <tuple>

#include "base/this_thread.hpp"
#include "daemon/postgres/limits.hpp"

namespace export_worker::postgres {
namespace {

// May one of several writes have led to this error? What says that the database cannot be written
// is said once.
bool is_of_one(const Error& error) {
    switch (error.code) {
        case ErrorCode::kConflict:
        case ErrorCode::kInvalidArgument:
        case ErrorCode::kDeadlineExceeded:
        case ErrorCode::kInternal: return true;
        default: return false;
    }
}

}  // namespace

Batch::Batch(Database& database) : database_(database), thread_([this] { run(); }) {}

Batch::~Batch() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void Batch::push(std::shared_ptr<Write> write) {
    {
        const std::lock_guard lock(mutex_);
        queue_.push_back(std::move(write));
    }
    changed_.notify_one();
}

void Batch::run() {
    name_this_thread("batch");
    for (Writes writes = take(); !writes.empty(); writes = take()) run_all(writes);
}

Batch::Writes Batch::take() {
    Writes out;
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
        while (!queue_.empty() && out.size() < limits::kBatchWritesMax) {
            out.push_back(std::move(queue_.front()));
            queue_.pop_front();
        }
    }
    std::ranges::stable_sort(out, {}, [](const auto& write) {
        return std::tie(write->place().rows, write->place().then);
    });
    return out;
}

void Batch::run_all(const Writes& writes) {
    const auto done = commit(writes);
    if (!done && writes.size() > 1 && is_of_one(done.error())) {
        for (const auto& write : writes) run_all({write});
        return;
    }
    for (const auto& write : writes) write->tell(done ? nullptr : &done.error());
}

Result<void> Batch::commit(const Writes& writes) {
    auto done = commit_once(writes, false);
    for (int tries = 1; tries < limits::kBatchTriesMax; ++tries) {
        if (done || done.error().code != ErrorCode::kUnknownOutcome) break;
        done = commit_once(writes, true);
    }
    return done;
}

Result<void> Batch::commit_once(const Writes& writes, bool is_again) {
    bool is_nothing_done = false;  // All have failed by themselves.
    auto done = database_.write([&](Connection& connection, std::int64_t now_us) -> Result<void> {
        is_nothing_done = false;
        const BatchRun run{now_us, is_again, ++transactions_};
        bool any = false;
        for (const auto& write : writes) {
            EW_CHECK(write->run(connection, run));
            any = any || write->has_succeeded();
        }
        is_nothing_done = !any;
        if (any) return {};
        return fail(ErrorCode::kInvalidArgument, "nothing to commit");
    });
    return is_nothing_done ? Result<void>() : done;
}

}  // namespace export_worker::postgres
