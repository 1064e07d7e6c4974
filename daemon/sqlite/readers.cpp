#include "daemon/sqlite/readers.hpp"

#include <algorithm>
#include <utility>

#include "daemon/sqlite/limits.hpp"

namespace export_worker::sqlite {

Readers::Readers(std::string path, std::optional<FileId> opened,
                 std::chrono::milliseconds query_time_max)
    : path_(std::move(path)), opened_(opened), query_time_max_(query_time_max) {}

// The first read opens the log, too.
Result<void> Readers::open_first() {
    EW_TRY(Reader reader, borrow(Use::kQuery));
    const auto read = reader.connection->query_integer("SELECT count(*) FROM sqlite_schema");
    give_back(std::move(reader), false);
    if (!read) return fail(read.error());
    return {};
}

Result<Readers::Reader> Readers::borrow(Use use) {
    EW_TRY(Reader reader, take(use));
    const std::uint64_t now = commits_.load();
    if (reader.snapshot == now) return reader;
    end_snapshot(reader);
    if (now % 2 == 0 && reader.connection->statement("BEGIN").run()) reader.snapshot = now;
    return reader;
}

Result<Readers::Reader> Readers::take(Use use) {
    {
        std::unique_lock lock(mutex_);
        returned_.wait(lock, [this] {
            return !idle_.empty() || (open_ < limits::kDatabaseReadersMax &&
                                      (open_ == 0 || file_id(path_) == opened_));
        });
        if (!idle_.empty()) {
            Reader reader = std::move(idle_.back());
            idle_.pop_back();
            lend(reader, use);
            return reader;
        }
        ++open_;
    }
    auto opened = Connection::open(path_, Connection::Mode::kQueryOnly);
    const std::lock_guard lock(mutex_);
    if (opened) {
        Reader reader{std::move(*opened)};
        lend(reader, use);
        return reader;
    }
    --open_;
    returned_.notify_one();
    return fail(std::move(opened.error()));
}

void Readers::lend(Reader& reader, Use use) {
    reader.use = use;
    const auto time_max = use == Use::kQuery ? query_time_max_ : std::chrono::milliseconds(0);
    reader.connection->time_limit().begin(time_max);
    lent_.push_back({reader.connection.get(), use});
    if (use == Use::kCopy) ++copies_;
}

void Readers::give_back(Reader reader, bool keep_snapshot) {
    {
        const std::lock_guard lock(mutex_);
        std::erase_if(lent_,
                      [&](const Lent& lent) { return lent.connection == reader.connection.get(); });
        if (reader.use == Use::kCopy) --copies_;
        // Before its snapshot ends: that is not to be stopped.
        reader.connection->time_limit().end();
        // With the mutex held: the writer, who has it after it began a commit, finds every old one.
        if (!keep_snapshot || reader.snapshot != commits_.load()) end_snapshot(reader);
        idle_.push_back(std::move(reader));
    }
    returned_.notify_one();
}

void Readers::begin_commit() {
    if (commits_.load() % 2 == 0) commits_.fetch_add(1);
    const std::lock_guard lock(mutex_);
    for (Reader& reader : idle_) end_snapshot(reader);
}

void Readers::end_commit() {
    if (commits_.load() % 2 != 0) commits_.fetch_add(1);
}

void Readers::stop_queries(std::chrono::milliseconds time_max) {
    const std::lock_guard lock(mutex_);
    for (const Lent& lent : lent_) {
        if (lent.use == Use::kQuery) lent.connection->time_limit().shorten(time_max);
    }
}

void Readers::stop_copies() {
    const std::lock_guard lock(mutex_);
    for (const Lent& lent : lent_) {
        if (lent.use == Use::kCopy)
            lent.connection->time_limit().shorten(std::chrono::milliseconds(0));
    }
}

void Readers::close_idle() {
    const std::lock_guard lock(mutex_);
    idle_.clear();
}

void Readers::end_snapshot(Reader& reader) {
    reader.snapshot = kNone;
    Connection& connection = *reader.connection;
    // What fails to end in order, on a broken disk, is given up.
    if (connection.in_transaction() && !connection.statement("COMMIT").run())
        (void)connection.execute("ROLLBACK");
}

}  // namespace export_worker::sqlite
