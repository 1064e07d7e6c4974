#include "daemon/postgres/batch.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <set>
#include <thread>

#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/lost_answers.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::postgres {
namespace {

class BatchTest : public testing::PostgresTest {
protected:
    using Pending = std::function<Result<std::int64_t>()>;

    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        auto opened = Database::open(options_, {.component = "test", .steps = kSteps});
        ASSERT_TRUE(opened) << opened.error().message;
        database_ = std::move(*opened);
        batch_ = std::make_unique<Batch>(*database_);
    }
    // Inserts it, and says in which transaction.
    Pending insert(std::int64_t id) {
        return batch_->begin<std::int64_t>({"thing"},
                                           [id](Connection& connection, const BatchRun& run) {
                                               return insert_one(connection, id, run.is_again);
                                           });
    }
    static Result<std::int64_t> insert_one(Connection& connection, std::int64_t id, bool is_again) {
        const char* sql = is_again ? "INSERT INTO thing VALUES ($1) ON CONFLICT DO NOTHING"
                                   : "INSERT INTO thing VALUES ($1)";
        EW_CHECK(connection.change(sql, id));
        EW_TRY(const Rows rows, connection.query("SELECT pg_current_xact_id()::text::bigint"));
        return rows.front().integer(0);
    }
    // Nothing of the batch runs until what comes back is gone.
    class Held {
    public:
        explicit Held(Batch& batch)
            : held_(batch.begin<std::int64_t>(
                  {}, [this](Connection&, const BatchRun&) -> Result<std::int64_t> {
                      runs_ = true;
                      runs_.notify_all();
                      goes_on_.wait(false);
                      return fail(ErrorCode::kCancelled, "nothing to write");
                  })) {
            runs_.wait(false);
        }
        ~Held() {
            goes_on_ = true;
            goes_on_.notify_all();
            (void)held_();
        }
        Held(const Held&) = delete;
        Held& operator=(const Held&) = delete;

    private:
        std::atomic<bool> runs_{false};
        std::atomic<bool> goes_on_{false};
        Pending held_;
    };
    std::int64_t count() {
        return *database_->read([](Connection& connection) -> Result<std::int64_t> {
            EW_TRY(const Rows rows, connection.query("SELECT count(*) FROM thing"));
            return rows.front().integer(0);
        });
    }

    static constexpr std::array<const char*, 1> kSteps{
        "CREATE TABLE thing (id bigint PRIMARY KEY CHECK (id >= 0))"};
    std::unique_ptr<Database> database_;
    std::unique_ptr<Batch> batch_;
};

TEST_F(BatchTest, WritesThatWaitAreOneTransaction) {
    std::vector<Pending> pending;
    {
        const Held held(*batch_);
        for (std::int64_t id = 0; id < 20; ++id) pending.push_back(insert(id));
    }
    const auto first = pending[0]();
    ASSERT_TRUE(first) << first.error().message;
    for (std::size_t index = 1; index < pending.size(); ++index)
        EXPECT_EQ(*pending[index](), *first);
    EXPECT_EQ(count(), 20);
}

TEST_F(BatchTest, OneThatTheServerRefusesFailsAlone) {
    ASSERT_TRUE(insert(2)());
    std::vector<Pending> pending;
    {
        const Held held(*batch_);
        for (std::int64_t id = -1; id < 5; ++id) pending.push_back(insert(id));
    }
    for (std::int64_t id = -1; id < 5; ++id) {
        const auto inserted = pending[static_cast<std::size_t>(id + 1)]();
        const bool is_bad = id == -1 || id == 2;
        EXPECT_EQ(inserted.has_value(), !is_bad) << id;
        if (is_bad) {
            EXPECT_EQ(inserted.error().code, ErrorCode::kConflict) << id;
        }
    }
    EXPECT_EQ(count(), 5);
}

TEST_F(BatchTest, OneThatRefusesItselfCostsTheOthersNothing) {
    Pending refused;
    std::vector<Pending> pending;
    {
        const Held held(*batch_);
        pending.push_back(insert(1));
        refused = batch_->begin<std::int64_t>(
            {"thing"}, [](Connection&, const BatchRun&) -> Result<std::int64_t> {
                return fail(ErrorCode::kQuotaExceeded, "too many");
            });
        pending.push_back(insert(2));
    }
    EXPECT_EQ(refused().error().code, ErrorCode::kQuotaExceeded);
    const auto first = pending[0]();
    ASSERT_TRUE(first);
    EXPECT_EQ(*pending[1](), *first) << "still one transaction";
    EXPECT_EQ(count(), 2);
}

TEST_F(BatchTest, ALostAnswerIsResolvedByTheSameWrites) {
    std::vector<Pending> pending;
    {
        const Held held(*batch_);
        for (std::int64_t id = 0; id < 5; ++id) pending.push_back(insert(id));
        testing::lose_commit_answers(2);
    }
    for (const Pending& each : pending) EXPECT_TRUE(each());
    EXPECT_EQ(count(), 5);
}

TEST_F(BatchTest, AnOutcomeThatStaysUnknownIsToldToAll) {
    std::vector<Pending> pending;
    {
        const Held held(*batch_);
        for (std::int64_t id = 0; id < 3; ++id) pending.push_back(insert(id));
        testing::lose_commit_answers(limits::kBatchTriesMax);
    }
    for (const Pending& each : pending) EXPECT_EQ(each().error().code, ErrorCode::kUnknownOutcome);
}

TEST_F(BatchTest, PlacesDecideTheOrder) {
    std::vector<std::string> order;
    std::vector<Pending> pending;
    const auto begin = [&](BatchPlace place, const std::string& name) {
        pending.push_back(batch_->begin<std::int64_t>(std::move(place),
                                                      [&order, name](Connection&, const BatchRun&) {
                                                          order.push_back(name);
                                                          return Result<std::int64_t>(0);
                                                      }));
    };
    {
        const Held held(*batch_);
        begin({"b", 0}, "b first");
        begin({"a", 7}, "a late");
        begin({"a", 1}, "a early");
        begin({"b", 0}, "b second");
    }
    for (const Pending& each : pending) ASSERT_TRUE(each());
    EXPECT_EQ(order, (std::vector<std::string>{"a early", "a late", "b first", "b second"}));
}

TEST_F(BatchTest, NoTransactionHasMoreThanItsLimit) {
    std::vector<Pending> pending;
    {
        const Held held(*batch_);
        for (std::size_t id = 0; id <= limits::kBatchWritesMax; ++id)
            pending.push_back(insert(static_cast<std::int64_t>(id)));
    }
    const auto first = pending.front()();
    const auto last = pending.back()();
    ASSERT_TRUE(first && last);
    EXPECT_NE(*first, *last);
}

TEST_F(BatchTest, EveryTransactionHasANumberOfItsOwn) {
    std::vector<std::uint64_t> numbers;
    const auto begin = [&] {
        return batch_->begin<std::int64_t>({}, [&](Connection&, const BatchRun& run) {
            numbers.push_back(run.transaction);
            return Result<std::int64_t>(0);
        });
    };
    Pending first;
    Pending second;
    {
        const Held held(*batch_);
        first = begin();
        second = begin();
        testing::lose_commit_answers(1);
    }
    ASSERT_TRUE(first() && second());
    ASSERT_TRUE(begin()());
    ASSERT_EQ(numbers.size(), 5U);
    EXPECT_EQ(numbers[0], numbers[1]);
    EXPECT_EQ(numbers[2], numbers[3]) << "run again";
    EXPECT_EQ(std::set<std::uint64_t>(numbers.begin(), numbers.end()).size(), 3U);
}

TEST_F(BatchTest, WhatWasBegunHappensWithoutAWait) {
    { const Pending ignored = insert(1); }
    batch_.reset();
    EXPECT_EQ(count(), 1);
}

}  // namespace
}  // namespace export_worker::postgres
