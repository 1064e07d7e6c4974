// Reads of one row each by a key, for many callers at once: those that wait go together in one
// statement, because a round trip costs far more than a row.
//
// At most kLookupRoundsMax statements are on their way, each on a connection of its own. A caller
// that finds a free one sends at once, for itself and for those that wait; no thread is between.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "daemon/postgres/database.hpp"
#include "daemon/postgres/limits.hpp"
#include "daemon/postgres/rows.hpp"

namespace export_worker::postgres {

// A row among those of others, or none.
class FoundRow {
public:
    FoundRow() = default;
    FoundRow(std::shared_ptr<const Rows> rows, int index) : rows_(std::move(rows)), index_(index) {}

    [[nodiscard]] bool empty() const { return rows_ == nullptr; }
    [[nodiscard]] Row row() const { return (*rows_)[index_]; }  // Borrowed from this object.

private:
    std::shared_ptr<const Rows> rows_;  // Shared by the callers of one statement, read only.
    int index_ = 0;
};

// [any-thread]
class Lookups {
public:
    // `sql` is a literal; $1 is the keys, an array of text, and the first column the key, by which
    // there is at most one row. `database` outlives this object.
    Lookups(Database& database, const char* sql,
            std::chrono::milliseconds wait_max = limits::kLookupWaitMax)
        : database_(database), sql_(sql), wait_max_(wait_max) {}

    // Waits at most `wait_max` for its turn, and for what Database::read() may take. Errors: those
    // of Database::read(); kUnavailable when no answer has come in time.
    [[nodiscard]] Result<FoundRow> find(std::string_view key);

    [[nodiscard]] std::size_t rounds() const;   // Statements on their way.
    [[nodiscard]] std::size_t waiting() const;  // Callers for whom none is.

private:
    enum class State : std::uint8_t { kWaits, kSends, kAnswered };
    struct Caller {
        explicit Caller(std::string_view wanted) : key(wanted) {}
        const std::string key;
        State state = State::kWaits;  // Guarded by mutex_, as the next one.
        Result<FoundRow> found;
        std::condition_variable changed;
    };
    // Shared: a caller that waits no longer leaves a round that is on its way.
    using Callers = std::vector<std::shared_ptr<Caller>>;

    // Until there is an answer, or it is this caller's turn to send: true.
    [[nodiscard]] Result<bool> wait_in_queue(std::unique_lock<std::mutex>& lock,
                                             const std::shared_ptr<Caller>& caller);
    // For `sender`, which is in no queue, and the first of those that wait.
    void send_round(const std::shared_ptr<Caller>& sender);
    [[nodiscard]] Callers take_with(const std::shared_ptr<Caller>& sender);
    // A round has ended: its place goes to the first that waits.
    void pass_place_on();
    void answer(const Callers& callers, Result<Rows> rows);

    Database& database_;
    const char* const sql_;
    const std::chrono::milliseconds wait_max_;
    mutable std::mutex mutex_;
    std::deque<std::shared_ptr<Caller>> queue_;  // Guarded by mutex_, as the next one.
    std::size_t rounds_ = 0;                     // On their way, or about to be.
};

}  // namespace export_worker::postgres
