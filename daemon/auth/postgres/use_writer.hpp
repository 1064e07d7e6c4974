// Writes when keys were used, on a thread: requests do not wait for it. Private to
// daemon/auth/postgres.
#pragma once

#include <mutex>
#include <vector>

#include "base/stoppable_threads.hpp"
#include "daemon/auth/key_records.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::auth::pg {

// [any-thread]
class UseWriter {
public:
    // `database` outlives it.
    explicit UseWriter(postgres::Database& database);
    ~UseWriter();  // Writes what is left, if the database can be reached.
    UseWriter(const UseWriter&) = delete;
    UseWriter& operator=(const UseWriter&) = delete;

    // More than kApiKeysMax that wait, and the oldest are forgotten.
    void add(std::vector<KeyUse> uses);

private:
    void write();
    void run();

    postgres::Database& database_;
    std::mutex mutex_;
    std::vector<KeyUse> waiting_;  // Guarded by mutex_.
    StoppableThreads threads_;     // Last: its thread uses the rest.
};

}  // namespace export_worker::auth::pg
