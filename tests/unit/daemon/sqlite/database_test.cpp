#include "daemon/sqlite/database.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <latch>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/io.hpp"
#include "daemon/sqlite/limits.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/lost_answers.hpp"
#include "tests/unit/support/resource_limit.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::sqlite {
namespace {

using testing::TempDir;

constexpr std::array<const char*, 1> kOne{
    "CREATE TABLE t (k TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT"};
constexpr std::array<const char*, 2> kTwo{kOne[0], "ALTER TABLE t ADD COLUMN extra TEXT"};

DatabaseOptions options(const std::string& path) {
    return {.path = path, .application_id = 77, .migrations = kOne};
}
// Where durability is not the subject.
DatabaseOptions unsynced_options(const std::string& path) {
    DatabaseOptions out = options(path);
    out.durability = Durability::kUnsyncedForTest;
    return out;
}

Result<void> insert(Database& database, const std::string& key, std::int64_t number) {
    return database.write([&](Connection& connection) {
        return connection.statement("INSERT INTO t (k, n) VALUES (?1, ?2)").bind(key, number).run();
    });
}
std::int64_t count(Database& database) {
    return *database.read(
        [](Connection& connection) { return connection.query_integer("SELECT count(*) FROM t"); });
}

TEST(Database, KeepsWhatWasWritten) {
    const TempDir dir;
    {
        auto database = Database::open(options(dir / "d.db"));
        ASSERT_TRUE(database) << database.error().message;
        ASSERT_TRUE(insert(**database, "a", 1));
    }
    auto again = Database::open(options(dir / "d.db"));
    ASSERT_TRUE(again);
    EXPECT_EQ(count(**again), 1);
}

TEST(Database, AFileThatMustExistIsNeitherMadeNorMigrated) {
    const TempDir dir;
    auto must_exist = options(dir / "d.db");
    must_exist.must_exist = true;
    EXPECT_EQ(Database::open(must_exist).error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
    ASSERT_TRUE(Database::open(options(dir / "d.db")));
    ASSERT_TRUE(Database::open(must_exist));
    must_exist.migrations = kTwo;
    const auto older = Database::open(must_exist);
    ASSERT_FALSE(older);
    EXPECT_EQ(older.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(older.error().message.find("expected schema version 2, found 1"), std::string::npos);
    EXPECT_TRUE(Database::open(options(dir / "d.db")));  // As it was.
}

TEST(Database, ItsFilesAndCopiesAreTheOwnersAlone) {
    const TempDir dir;
    dir.write("old.db", "", 0644);
    const mode_t before = ::umask(0);
    for (const std::string name : {"new", "old"}) {
        auto database = Database::open(options(dir / (name + ".db")));
        ASSERT_TRUE(database) << database.error().message;
        ASSERT_TRUE(insert(**database, "a", 1));
        ASSERT_TRUE((*database)->backup(dir / (name + ".copy")));
    }
    ::umask(before);
    std::size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(dir.path())) {
        EXPECT_EQ(entry.status().permissions(),
                  std::filesystem::perms::owner_read | std::filesystem::perms::owner_write)
            << entry.path();
        ++files;
    }
    EXPECT_GE(files, 4U);
}

TEST(Database, EveryCommitIsSyncedUnlessATestSaysOtherwise) {
    const TempDir dir;
    DatabaseOptions how = options(dir / "d.db");
    const auto synchronous = [&] {
        const auto database = Database::open(how);
        return *(*database)->write(
            [](Connection& connection) { return connection.query_integer("PRAGMA synchronous"); });
    };
    EXPECT_EQ(synchronous(), 2);  // FULL
    how.durability = Durability::kUnsyncedForTest;
    EXPECT_EQ(synchronous(), 0);  // OFF
}

TEST(Database, AFailedWriteUndoesOnlyItself) {
    const TempDir dir;
    auto database = Database::open(options(dir / "d.db"));
    ASSERT_TRUE(insert(**database, "a", 1));
    const auto failed = (*database)->write([](Connection& connection) -> Result<void> {
        EW_CHECK(connection.statement("INSERT INTO t (k, n) VALUES ('b', 2)").run());
        return connection.statement("INSERT INTO t (k, n) VALUES ('a', 3)").run();
    });
    EXPECT_EQ(failed.error().code, ErrorCode::kConflict);
    EXPECT_EQ(count(**database), 1);
}

// The last frame of a commit says how large the database is then, the others say zero (SQLite, "The
// Write-Ahead Log format": bytes 4 to 7 of a frame's header).
std::size_t commits_in_log(const std::string& path) {
    const std::string log = *read_file(path + "-wal", 64 * 1024 * 1024);
    std::size_t commits = 0;
    for (std::size_t at = 32; at + 24 + 4096 <= log.size(); at += 24 + 4096)
        if (log.substr(at + 4, 4) != std::string(4, '\0')) ++commits;
    return commits;
}

TEST(Database, OneThreadHasManyWritesUnderWay) {
    const TempDir dir;
    auto database = Database::open(options(dir / "d.db"));
    const std::size_t before = commits_in_log(dir / "d.db");
    std::latch begun(1);
    std::vector<std::function<Result<void>()>> waits;
    for (int number = 0; number < 100; ++number) {
        waits.push_back((*database)->begin_write([&begun, number](Connection& connection) {
            begun.wait();  // The first; the others are there when it ends.
            return connection.statement("INSERT INTO t (k, n) VALUES (?1, 1)")
                .bind(std::to_string(number / 2 * 2))  // Every second one fails, and only it.
                .run();
        }));
    }
    begun.count_down();
    for (std::size_t number = 0; number < waits.size(); ++number) {
        const auto done = waits[number]();
        EXPECT_EQ(done.has_value(), number % 2 == 0);
        if (number % 2 != 0) {
            EXPECT_EQ(done.error().code, ErrorCode::kConflict);
        }
    }
    EXPECT_EQ(count(**database), 50);
    EXPECT_LE(commits_in_log(dir / "d.db") - before, 2U);
}

TEST(Database, AWriteNobodyWaitsForHappens) {
    const TempDir dir;
    auto database = Database::open(options(dir / "d.db"));
    (void)(*database)->begin_write([](Connection& connection) {
        return connection.statement("INSERT INTO t (k, n) VALUES ('a', 1)").run();
    });
    ASSERT_TRUE(insert(**database, "b", 2));  // Behind it.
    EXPECT_EQ(count(**database), 2);
}

// Two writes that share a transaction: another one ends only when both are there.
struct Pair {
    Result<void> first;
    Result<void> second;
};
Pair write_together(Database& database, std::function<Result<void>(Connection&)> first,
                    const std::string& key) {
    std::latch begun(1);
    std::latch alone(1);
    auto other = database.begin_write([&](Connection&) -> Result<void> {
        alone.count_down();
        begun.wait();
        return {};
    });
    alone.wait();  // In a transaction of its own.
    auto one = database.begin_write(std::move(first), Database::Failure::kBeforeChanges);
    auto two = database.begin_write([key](Connection& connection) {
        return connection.statement("INSERT INTO t (k, n) VALUES (?1, 1)").bind(key).run();
    });
    begun.count_down();
    EXPECT_TRUE(other());
    Result<void> result = one();
    return {std::move(result), two()};
}

TEST(Database, AWriteWithoutASavepointThatFailsHalfWayTakesTheOthersAlong) {
    const TempDir dir;
    auto database = Database::open(options(dir / "d.db"));
    const auto refuse = [](Connection&) -> Result<void> {
        return fail(ErrorCode::kConflict, "no");
    };
    const Pair early = write_together(**database, refuse, "a");
    EXPECT_EQ(early.first.error().code, ErrorCode::kConflict);
    EXPECT_TRUE(early.second);
    const auto insert_and_refuse = [](Connection& connection) -> Result<void> {
        EW_CHECK(connection.statement("INSERT INTO t (k, n) VALUES ('c', 1)").run());
        return fail(ErrorCode::kConflict, "no");
    };
    const Pair half_way = write_together(**database, insert_and_refuse, "b");
    EXPECT_EQ(half_way.first.error().code, ErrorCode::kInternal);
    EXPECT_FALSE(half_way.second);
    EXPECT_EQ((*database)->write_errors(), 1U);
    EXPECT_NE((*database)->problem().cause.find("failed half-way"), std::string::npos);
    // As SQLite does by itself when the disk is full.
    const auto give_up = [](Connection& connection) -> Result<void> {
        EW_CHECK(connection.execute("ROLLBACK"));
        return fail(ErrorCode::kResourceExhausted, "full");
    };
    const Pair given_up = write_together(**database, give_up, "d");
    EXPECT_FALSE(given_up.first);
    EXPECT_FALSE(given_up.second) << "what is not durable is not said to be";
    EXPECT_EQ(count(**database), 1) << "and what was refused is not kept";
    EXPECT_TRUE(insert(**database, "b", 2)) << "the next transaction is a new one";
    EXPECT_EQ((*database)->problem().cause, "");
    EXPECT_EQ((*database)->write_errors(), 2U);
}

TEST(Database, ManyThreadsShareCommits) {
    const TempDir dir;
    auto database = Database::open(options(dir / "d.db"));
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 8; ++thread) {
        threads.emplace_back([&, thread] {
            for (int index = 0; index < 50; ++index) {
                EXPECT_TRUE(insert(**database, std::to_string(thread) + "." + std::to_string(index),
                                   index));
                // Every tenth fails on purpose, in a group with others.
                if (index % 10 == 0) {
                    EXPECT_FALSE(insert(
                        **database, std::to_string(thread) + "." + std::to_string(index), index));
                }
            }
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(count(**database), 400);
}

TEST(Database, MigratesForwardAndRefusesANewerFile) {
    const TempDir dir;
    ASSERT_TRUE(Database::open(options(dir / "d.db")));
    DatabaseOptions newer = options(dir / "d.db");
    newer.migrations = kTwo;
    ASSERT_TRUE(Database::open(newer));
    const auto refused = Database::open(options(dir / "d.db"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(refused.error().message.find("expected schema version 1 or older, found 2"),
              std::string::npos)
        << refused.error().message;
}

TEST(Database, ACommitWhoseAnswerIsLostHasAnUnknownOutcome) {
    const TempDir dir;
    const auto database = Database::open(options(dir / "d.db"));
    ASSERT_TRUE(database);
    testing::lose_commit_answers(1);
    const auto lost = insert(**database, "a", 1);
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, ErrorCode::kUnknownOutcome);
    EXPECT_FALSE((*database)->problem().cause.empty());
    EXPECT_EQ(count(**database), 1) << "it has happened";
    EXPECT_EQ(insert(**database, "a", 1).error().code, ErrorCode::kConflict);
    EXPECT_TRUE((*database)->problem().cause.empty());
}

// As "exportctl backup" has it from a daemon whose state_dir was emptied: the log has what is new.
TEST(Database, AFileWhoseNameIsGoneIsServedAndCopiedUntilItEnds) {
    for (const bool replaced : {false, true}) {
        const TempDir dir;
        auto database = Database::open(options(dir / "d.db"));
        ASSERT_TRUE(insert(**database, "a", 1));
        for (const char* beside : {"", "-wal", "-shm"})
            std::filesystem::remove(dir / "d.db" + beside);
        if (replaced) {
            ASSERT_TRUE(Database::open(options(dir / "d.db")));
        }
        const Problem problem = (*database)->problem();
        EXPECT_NE(problem.cause.find("was deleted or replaced"), std::string::npos);
        EXPECT_NE(problem.remedy.find("exportctl backup"), std::string::npos);
        EXPECT_EQ(problem.remedy.find("the next write"), std::string::npos);
        ASSERT_TRUE(insert(**database, "b", 2));
        // Two at once: a second connection would find nothing, or another file.
        std::atomic<bool> begun{false};
        std::thread second;
        ASSERT_TRUE((*database)->read([&](Connection&) -> Result<void> {
            second = std::thread([&] {
                begun = true;
                EXPECT_EQ(count(**database), 2);
            });
            while (!begun) std::this_thread::yield();
            return {};
        }));
        second.join();
        ASSERT_TRUE((*database)->backup(dir / "copy.db"));
        EXPECT_EQ(count(**Database::open(options(dir / "copy.db"))), 2);
    }
}

TEST(Database, DamageAtTheRootOfATableOrAnIndexIsFoundAtTheStart) {
    for (const char* damaged : {"t", "sqlite_autoindex_t_1"}) {
        const TempDir dir;
        std::int64_t page = 0;
        {
            auto database = Database::open(options(dir / "d.db"));
            ASSERT_TRUE(insert(**database, "a", 1));
            page = *(*database)->read([&](Connection& connection) {
                return connection.query_integer(
                    "SELECT rootpage FROM sqlite_schema WHERE name = '" + std::string(damaged) +
                    "'");
            });
        }
        std::fstream file(dir / "d.db", std::ios::in | std::ios::out | std::ios::binary);
        file.seekp((page - 1) * 4096);
        file << std::string(4096, '\xff');
        file.close();
        const auto opened = Database::open(options(dir / "d.db"));
        const auto checked = Database::check(options(dir / "d.db"));
        ASSERT_FALSE(opened) << damaged;
        ASSERT_FALSE(checked) << damaged;
        EXPECT_EQ(opened.error().code, ErrorCode::kDataLoss);
        EXPECT_EQ(opened.error().message, checked.error().message);
        EXPECT_TRUE(opened.error().message.starts_with(dir / "d.db: ")) << opened.error().message;
        EXPECT_NE(opened.error().message.find("exportctl restore DIRECTORY --force"),
                  std::string::npos)
            << opened.error().message;
    }
}

TEST(Database, RefusesForeignAndDamagedFiles) {
    const TempDir dir;
    ASSERT_TRUE(Database::open(options(dir / "d.db")));
    DatabaseOptions foreign = options(dir / "d.db");
    foreign.application_id = 78;
    EXPECT_EQ(Database::open(foreign).error().code, ErrorCode::kDataLoss);

    const std::string garbage = dir.write("garbage.db", std::string(8192, 'x'));
    const auto refused = Database::open(options(garbage));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kDataLoss);
    EXPECT_NE(refused.error().message.find(garbage), std::string::npos) << refused.error().message;
}

TEST(Database, AMigrationThatFailsNamesTheFile) {
    const TempDir dir;
    constexpr std::array<const char*, 1> kBad{"CREATE TABLE t (k); CREATE TABLE t (k)"};
    DatabaseOptions bad = options(dir / "d.db");
    bad.migrations = kBad;
    const auto refused = Database::open(bad);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(refused.error().message.starts_with((dir / "d.db") + ": "))
        << refused.error().message;
    EXPECT_TRUE(Database::open(options(dir / "d.db")));  // Nothing of it is left.
}

TEST(Database, ABackupNeedsItsNameFree) {
    const TempDir dir;
    const auto database = Database::open(options(dir / "d.db"));
    ASSERT_TRUE(database);
    std::filesystem::create_directories(dir / "b.db.part");
    const auto refused = (*database)->backup(dir / "b.db");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("delete " + (dir / "b.db.part")), std::string::npos)
        << refused.error().message;
}

TEST(Database, ABackupThatDoesNotFitIsNone) {
    const TempDir dir;
    const auto database = Database::open(options(dir / "d.db"));
    ASSERT_TRUE(database);
    ASSERT_TRUE(insert(**database, std::string(100'000, 'k'), 1));
    Result<void> refused;
    {
        const testing::ResourceLimit bound(RLIMIT_FSIZE, 16'384);
        refused = (*database)->backup(dir / "b.db");
    }
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("copy to " + (dir / "b.db.part")), std::string::npos)
        << refused.error().message;
    EXPECT_FALSE(std::filesystem::exists(dir / "b.db"));
    for (const char* beside : {"", "-journal", "-wal", "-shm"})
        EXPECT_FALSE(std::filesystem::exists((dir / "b.db.part") + beside)) << beside;
    EXPECT_TRUE((*database)->backup(dir / "b.db"));
}

// The tables count on it: what belongs to a job goes with it, and never comes without one.
TEST(Database, ReferencesHold) {
    constexpr std::array<const char*, 1> kFamily{
        "CREATE TABLE parent (k TEXT PRIMARY KEY) STRICT;"
        "CREATE TABLE child (k TEXT REFERENCES parent (k) ON DELETE CASCADE) STRICT"};
    const TempDir dir;
    const auto database =
        Database::open({.path = dir / "d.db", .application_id = 77, .migrations = kFamily});
    ASSERT_TRUE(database) << database.error().message;
    const auto write = [&](const char* sql) {
        return (*database)->write(
            [sql](Connection& connection) { return connection.execute(sql); });
    };
    const auto orphan = write("INSERT INTO child (k) VALUES ('a')");
    ASSERT_FALSE(orphan);
    EXPECT_EQ(orphan.error().code, ErrorCode::kConflict);
    ASSERT_TRUE(write("INSERT INTO parent (k) VALUES ('a'); INSERT INTO child (k) VALUES ('a')"));
    ASSERT_TRUE(write("DELETE FROM parent"));
    EXPECT_EQ(*(*database)->read([](Connection& connection) {
        return connection.query_integer("SELECT count(*) FROM child");
    }),
              0);
}

TEST(Database, ReadersCannotWrite) {
    const TempDir dir;
    auto database = Database::open(options(dir / "d.db"));
    const auto refused = (*database)->read(
        [](Connection& connection) { return connection.execute("DELETE FROM t"); });
    EXPECT_FALSE(refused);
}

TEST(Database, AReadSeesWhatWasCommittedBeforeIt) {
    const TempDir dir;
    auto database = Database::open(unsynced_options(dir / "d.db"));
    std::atomic<int> written = 0;
    std::atomic<int> reads = 0;
    std::atomic<bool> stop = false;
    std::vector<std::thread> readers;
    for (int index = 0; index < 3; ++index) {
        readers.emplace_back([&] {
            std::int64_t last = 0;
            while (!stop) {
                const int before = written;
                const std::int64_t seen = count(**database);
                EXPECT_GE(seen, before);
                EXPECT_GE(seen, last) << "time does not run backwards";
                last = seen;
                ++reads;
            }
        });
    }
    // A fixed number of writes may be over before the first reader runs.
    for (int number = 0; number < 300 || reads < 3'000; ++number) {
        ASSERT_TRUE(insert(**database, std::to_string(number), number));
        written = number + 1;
    }
    stop = true;
    for (std::thread& reader : readers) reader.join();
}

// Whoever reads all the time must not keep the log from being reset.
TEST(Database, TheLogStaysSmallWhileItIsRead) {
    const TempDir dir;
    auto database = Database::open(options(dir / "d.db"));
    std::atomic<bool> stop = false;
    std::thread reader([&] {
        while (!stop) EXPECT_GE(count(**database), 0);
    });
    const std::string large(100'000, 'x');
    constexpr int kWrites = 300;  // 60 MB through a log of 8 MB: row, key, freed pages.
    std::uintmax_t largest = 0;
    for (int number = 0; number < kWrites; ++number) {
        ASSERT_EQ(count(**database), number == 0 ? 0 : 1);
        ASSERT_TRUE((*database)->write([&](Connection& connection) {
            return connection.statement("INSERT OR REPLACE INTO t (k, n) VALUES (?1 || 'x', 1)")
                .bind(large)
                .run();
        }));
        largest = std::max(largest, std::filesystem::file_size(dir / "d.db-wal"));
    }
    stop = true;
    reader.join();
    EXPECT_LT(largest, 3 * limits::kDatabaseCheckpointPages * 4096);
}

// A query that reads the table and takes as long as `steps` say.
constexpr std::int64_t kForEver = 1'000'000'000'000;
Result<std::int64_t> read_slowly(Database& database, std::int64_t steps) {
    return database.read([&](Connection& connection) -> Result<std::int64_t> {
        EW_CHECK(connection.query_integer("SELECT count(*) FROM t"));
        Statement rows = connection.statement(
            "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT ?1) "
            "SELECT count(*) FROM c, t");
        EW_TRY([[maybe_unused]] const bool found, rows.bind(steps).step());
        return rows.integer(0);
    });
}

TEST(Database, AReadThatTakesTooLongIsStopped) {
    const TempDir dir;
    DatabaseOptions how = options(dir / "d.db");
    how.read_time_max = std::chrono::milliseconds(20);
    auto database = Database::open(how);
    ASSERT_TRUE(insert(**database, "a", 1));
    const auto stopped = read_slowly(**database, kForEver);
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, ErrorCode::kDeadlineExceeded);
    EXPECT_NE(stopped.error().message.find("ask for less, or try again"), std::string::npos);
    EXPECT_EQ(count(**database), 1) << "the next read has its own time";
}

// Pages of 4 KiB go through the log: at least `bytes` of them.
void write_much(Database& database, std::int64_t bytes) {
    const std::string large(500'000, 'x');
    for (std::int64_t written = 0; written < bytes;
         written += static_cast<std::int64_t>(2 * large.size())) {
        ASSERT_TRUE(database.write([&](Connection& connection) {
            return connection.statement("INSERT OR REPLACE INTO t (k, n) VALUES (?1, 1)")
                .bind(large)
                .run();
        }));
    }
}
// Rows that stay.
void insert_many(Database& database, std::int64_t bytes) {
    const std::string large(1'000'000, 'x');
    for (std::int64_t number = 0; number * 2'000'000 < bytes; ++number)
        ASSERT_TRUE(insert(database, large + std::to_string(number), number));
}
constexpr std::int64_t kMib = 1024 * 1024;

TEST(Database, TheLogStaysBoundedWhileSlowReadsOverlap) {
    const TempDir dir;
    DatabaseOptions how = unsynced_options(dir / "d.db");
    how.log_bytes_max = 12 * kMib;
    auto database = Database::open(how);
    std::atomic<bool> stop = false;
    std::vector<std::thread> readers;
    for (int index = 0; index < 3; ++index) {
        readers.emplace_back([&] {
            while (!stop) EXPECT_TRUE(read_slowly(**database, 50'000));
        });
    }
    std::uintmax_t largest = 0;
    for (int number = 0; number < 20; ++number) {
        write_much(**database, 2 * kMib);
        largest = std::max(largest, std::filesystem::file_size(dir / "d.db-wal"));
    }
    stop = true;
    for (std::thread& reader : readers) reader.join();
    EXPECT_LT(largest, 24 * kMib);
}

TEST(Database, AReadThatKeepsALargeLogIsStopped) {
    const TempDir dir;
    DatabaseOptions how = unsynced_options(dir / "d.db");
    how.read_time_max = std::chrono::hours(1);
    how.log_bytes_max = 9 * kMib;
    auto database = Database::open(how);
    ASSERT_TRUE(insert(**database, "a", 1));
    std::latch reading(1);
    Result<std::int64_t> stopped;
    std::thread reader([&] {
        stopped = (*database)->read([&](Connection& connection) -> Result<std::int64_t> {
            EW_CHECK(connection.query_integer("SELECT count(*) FROM t"));
            reading.count_down();
            return connection.query_integer(
                "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) "
                "SELECT count(*) FROM c, t");
        });
    });
    reading.wait();
    write_much(**database, 24 * kMib);
    reader.join();
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, ErrorCode::kDeadlineExceeded);
    ASSERT_TRUE(insert(**database, "b", 1));
    EXPECT_LT(std::filesystem::file_size(dir / "d.db-wal"), 24 * kMib);
}

TEST(Database, ACopyIsStoppedOnceTheLogIsTooLargeForIt) {
    const TempDir dir;
    DatabaseOptions how = unsynced_options(dir / "d.db");
    how.log_bytes_max = 30 * kMib;
    how.log_bytes_copy_max = 30 * kMib;
    auto database = Database::open(how);
    insert_many(**database, 12 * kMib);  // More than one step of a copy.
    const auto copy_while_writing = [&](std::int64_t bytes) {
        bool first = true;
        return (*database)->backup(dir / "copy.db", [&] {
            if (std::exchange(first, false)) {
                write_much(**database, bytes);
                EXPECT_TRUE(insert(**database, "after " + std::to_string(bytes), 1));
            }
            return true;
        });
    };
    const auto small = copy_while_writing(9 * kMib);
    EXPECT_TRUE(small) << small.error().message;
    {
        auto copy = Database::open(options(dir / "copy.db"));
        EXPECT_EQ(count(**copy), count(**database) - 2) << "as it was when the copy began";
    }
    const auto large = copy_while_writing(40 * kMib);
    ASSERT_FALSE(large);
    EXPECT_EQ(large.error().code, ErrorCode::kDeadlineExceeded);
    EXPECT_NE(large.error().message.find("try again when less is written"), std::string::npos);
}

Result<void> remove_all(Database& database) {
    return database.write(
        [](Connection& connection) { return connection.execute("DELETE FROM t"); });
}

TEST(Database, FreePagesGoBackToTheDiskByThemselves) {
    const TempDir dir;
    DatabaseOptions how = unsynced_options(dir / "d.db");
    how.log_bytes_max = 9 * kMib;
    auto database = Database::open(how);
    insert_many(**database, 16 * kMib);
    ASSERT_TRUE(remove_all(**database));
    EXPECT_TRUE(testing::eventually([&] {
        const auto pages = (*database)->read(
            [](Connection& connection) { return connection.query_integer("PRAGMA page_count"); });
        return pages && *pages <= 2 * limits::kDatabaseFreePagesMin;
    }));
    ASSERT_TRUE(insert(**database, "a", 1));
    EXPECT_EQ(count(**database), 1);
}

// As versions before 0.2 made them.
void make_without_page_map(const std::string& path) {
    auto old = Connection::open(path, Connection::Mode::kReadWrite);
    ASSERT_TRUE(old);
    ASSERT_TRUE((*old)->execute(std::string("PRAGMA journal_mode=WAL; ") + kOne[0] +
                                "; PRAGMA application_id=77; PRAGMA user_version=1"));
}

TEST(Database, AnOldFileShrinksOnceItIsCompacted) {
    const TempDir dir;
    make_without_page_map(dir / "d.db");
    auto database = Database::open(unsynced_options(dir / "d.db"));
    ASSERT_TRUE(database) << database.error().message;
    insert_many(**database, 16 * kMib);
    ASSERT_TRUE(remove_all(**database));
    ASSERT_TRUE(insert(**database, "a", 1));
    const auto compacted = (*database)->compact(std::chrono::minutes(1));
    ASSERT_TRUE(compacted) << compacted.error().message;
    EXPECT_LT(std::filesystem::file_size(dir / "d.db"), kMib);
    EXPECT_EQ(count(**database), 1);
    insert_many(**database, 8 * kMib);
    ASSERT_TRUE(remove_all(**database));
    ASSERT_TRUE((*database)->compact(std::chrono::milliseconds(1))) << "in steps from now on";
    EXPECT_LT(std::filesystem::file_size(dir / "d.db"), kMib);
}

TEST(Database, ACompactionThatWouldStopWritesForTooLongChangesNothing) {
    const TempDir dir;
    make_without_page_map(dir / "d.db");
    auto database = Database::open(unsynced_options(dir / "d.db"));
    const auto filled = (*database)->write([](Connection& connection) {
        return connection.execute(
            "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 200000) "
            "INSERT INTO t (k, n) SELECT 'key ' || x, x FROM c");
    });
    ASSERT_TRUE(filled);
    const auto refused = (*database)->compact(std::chrono::milliseconds(1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kDeadlineExceeded);
    EXPECT_NE(refused.error().message.find("longer than 1 ms; nothing was changed"),
              std::string::npos);
    EXPECT_EQ(count(**database), 200'000);
    EXPECT_EQ((*database)->compact(std::chrono::minutes(1), [] { return false; }).error().code,
              ErrorCode::kCancelled);
}

TEST(Database, AReadThatFailsLeavesNoOldSnapshotBehind) {
    const TempDir dir;
    auto database = Database::open(options(dir / "d.db"));
    const auto failed = (*database)->read([](Connection& connection) -> Result<std::int64_t> {
        EW_CHECK(connection.query_integer("SELECT count(*) FROM t"));
        return fail(ErrorCode::kNotFound, "nothing");
    });
    EXPECT_EQ(failed.error().code, ErrorCode::kNotFound);
    ASSERT_TRUE(insert(**database, "a", 1));
    EXPECT_EQ(count(**database), 1);
}

TEST(Database, OneReaderMoreThanThereAreWaitsForOneOfThem) {
    const TempDir dir;
    auto database = Database::open(options(dir / "d.db"));
    std::latch all_reading(static_cast<std::ptrdiff_t>(limits::kDatabaseReadersMax));
    std::latch may_end(1);
    std::atomic<bool> ending = false;
    std::vector<std::thread> threads;
    for (std::size_t index = 0; index < limits::kDatabaseReadersMax; ++index) {
        threads.emplace_back([&] {
            (void)(*database)->read([&](Connection&) -> Result<void> {
                all_reading.count_down();
                may_end.wait();
                return {};
            });
        });
    }
    all_reading.wait();
    bool waited = false;
    threads.emplace_back([&] {
        (void)(*database)->read([&](Connection& connection) {
            waited = ending.load();
            return connection.query_integer("SELECT count(*) FROM t");
        });
    });
    ASSERT_TRUE(insert(**database, "a", 1));  // A writer waits for no reader.
    // A reader that does not wait has time to show it.
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // sleep: nothing is to happen
    ending.store(true);
    may_end.count_down();
    for (std::thread& thread : threads) thread.join();
    EXPECT_TRUE(waited);
    EXPECT_EQ(count(**database), 1);
}

}  // namespace
}  // namespace export_worker::sqlite
