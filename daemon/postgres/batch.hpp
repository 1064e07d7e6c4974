// Writes of many callers in few transactions: a commit costs far more than a row.
//
// A thread runs what waits, at most kBatchWritesMax together. Each write is on what was committed
// and on what those before it in its transaction have done. An error of its own is its caller's
// alone. One of the server undoes all; then each runs in a transaction by itself, so that one of
// them fails alone. When the outcome of a commit is unknown, the same writes run again and find
// what they have done.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "daemon/postgres/connection.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::postgres {

// By what the writes of a transaction are sorted; those of the same place run in the order they
// were begun in. Two processes whose writes lock rows in the order of their places never wait for
// each other.
struct BatchPlace {
    std::string rows;  // What is locked: an organization, a job.
    std::int64_t then = 0;
};

// A run of a write.
struct BatchRun {
    std::int64_t now_us = 0;        // The database's time.
    bool is_again = false;          // A run before may have happened.
    std::uint64_t transaction = 0;  // Of all writes that run together, and of no others.
};

// [any-thread]
class Batch {
public:
    explicit Batch(Database& database);  // Outlives it.
    ~Batch();                            // Runs what was begun.
    Batch(const Batch&) = delete;
    Batch& operator=(const Batch&) = delete;

    // `work(Connection&, const BatchRun&)` runs on the batch's thread, perhaps several times, as
    // that of Database::write(); when it returns an error that is not the server's, it has changed
    // nothing. What comes back waits for the commit, and is to be called once. Errors: those of
    // `work` and of Database::write(); kUnknownOutcome after kBatchTriesMax tries.
    template <typename T, typename Work>
    [[nodiscard]] std::function<Result<T>()> begin(BatchPlace place, Work work) {
        auto write = std::make_shared<WriteOf<T, Work>>(std::move(place), std::move(work));
        push(write);
        return [write] { return write->wait(); };
    }

private:
    class Write {
    public:
        explicit Write(BatchPlace place) : place_(std::move(place)) {}
        virtual ~Write() = default;
        [[nodiscard]] const BatchPlace& place() const { return place_; }
        // Errors: the server's.
        [[nodiscard]] virtual Result<void> run(Connection& connection, const BatchRun& run) = 0;
        [[nodiscard]] virtual bool has_succeeded() const = 0;
        // Tells what run() has found, or that all of it came to nothing.
        virtual void tell(const Error* error) = 0;

    private:
        const BatchPlace place_;
    };
    template <typename T, typename Work>
    class WriteOf final : public Write {
    public:
        WriteOf(BatchPlace place, Work work) : Write(std::move(place)), work_(std::move(work)) {}
        Result<void> run(Connection& connection, const BatchRun& run) override {
            found_ = work_(connection, run);
            if (!found_ && connection.has_failed()) return fail(found_.error());
            return {};
        }
        bool has_succeeded() const override { return found_.has_value(); }
        void tell(const Error* error) override {
            told_.set_value(error == nullptr ? std::move(found_) : Result<T>(fail(*error)));
        }
        [[nodiscard]] Result<T> wait() { return told_.get_future().get(); }

    private:
        Work work_;
        Result<T> found_ = fail(ErrorCode::kInternal, "batch: not run");
        std::promise<Result<T>> told_;
    };
    using Writes = std::vector<std::shared_ptr<Write>>;

    void push(std::shared_ptr<Write> write);
    void run();
    // Waits for some; empty: it is time to stop, and all have run.
    [[nodiscard]] Writes take();
    void run_all(const Writes& writes);
    [[nodiscard]] Result<void> commit(const Writes& writes);
    [[nodiscard]] Result<void> commit_once(const Writes& writes, bool is_again);

    Database& database_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::shared_ptr<Write>> queue_;  // Guarded by mutex_, as the next one.
    bool stopping_ = false;
    std::uint64_t transactions_ = 0;  // The thread's.
    std::thread thread_;              // Last: it uses what is above.
};

}  // namespace export_worker::postgres
