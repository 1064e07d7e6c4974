#include "daemon/jobs/sqlite/sqlite_outbox.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/text.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/sqlite_job_reader.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::jobs {
namespace {

using model::OrganizationScope;
using sqlite::Connection;
using Delivery = Outbox::Delivery;

class SqliteOutboxTest : public ::testing::Test {
protected:
    // Notices of `organization`, each due `due_us` after the start.
    void add(const std::string& organization, std::size_t count = 1, std::int64_t due_us = 0) {
        ASSERT_TRUE(database_->write([&](Connection& connection, const Now&) -> Result<void> {
            for (std::size_t index = 0; index < count; ++index) {
                EW_CHECK(connection
                             .statement("INSERT INTO notice (event_id, organization_id, job_id, "
                                        "type, body, at_us, due_us) VALUES ('e', ?1, 'j', "
                                        "'job.completed', '{}', 0, ?2)")
                             .bind(organization, started_us_ + due_us)
                             .run());
            }
            return {};
        }));
    }
    static std::vector<std::int64_t> sequences(const std::vector<model::Notice>& notices) {
        std::vector<std::int64_t> out;
        for (const model::Notice& notice : notices) out.push_back(notice.sequence);
        return out;
    }
    std::vector<std::int64_t> unpublished() { return sequences(*outbox_.unpublished_notices()); }
    // Those due `after_us` after the start, which is not before the last time asked for; one of
    // each organization.
    std::vector<std::int64_t> due(std::int64_t after_us) {
        clock_.advance(std::chrono::microseconds(started_us_ + after_us - database_->now().us));
        const std::vector<std::int64_t> taken = take();
        for (const std::int64_t sequence : taken)
            EXPECT_TRUE(outbox_.mark_delivery(sequence, Delivery::kPutBack, "", 0));
        return taken;
    }
    std::vector<std::int64_t> take(std::size_t notices_max = limits::kNoticesPage) {
        return sequences(*outbox_.take_due_notices(notices_max));
    }
    std::vector<std::int64_t> after(const OrganizationScope& scope, std::int64_t sequence) {
        return sequences(reader_.notices(scope, sequence)->items);
    }
    // Takes it first, as the next of its organization.
    void mark(std::int64_t sequence, Delivery delivery, std::string_view answer = "200",
              std::int64_t delay_us = 0) {
        ASSERT_TRUE(std::ranges::count(take(), sequence) == 1) << sequence;
        ASSERT_TRUE(outbox_.mark_delivery(sequence, delivery, answer, delay_us));
    }
    std::string answer_of(std::int64_t sequence) {
        return *database_->read([&](Connection& connection) -> Result<std::string> {
            auto row = connection.statement("SELECT answer FROM notice WHERE sequence = ?1");
            EW_TRY(const bool found, row.bind(sequence).step());
            return found ? row.string(0) : "none";
        });
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    const std::unique_ptr<JobDatabase> database_ = std::move(
        *JobDatabase::open(dir_ / "jobs.db", clock_, {}, sqlite::Durability::kUnsyncedForTest));
    const std::int64_t started_us_ = database_->now().us;
    const std::atomic<std::int64_t> fenced_{0};
    const UnwrittenHolds holds_;
    SqliteOutbox outbox_{*database_};
    SqliteJobReader reader_{*database_, holds_, fenced_};
};

using Sequences = std::vector<std::int64_t>;

TEST_F(SqliteOutboxTest, AnEmptyOneHasNothingToTell) {
    EXPECT_TRUE(unpublished().empty());
    EXPECT_TRUE(due(0).empty());
    EXPECT_TRUE(after(OrganizationScope::every(), 0).empty());
}

TEST_F(SqliteOutboxTest, NoticesAreMarkedAsPublishedUpToOne) {
    add("acme", 3);
    ASSERT_TRUE(outbox_.mark_published(2));
    EXPECT_EQ(unpublished(), Sequences({3}));
}

TEST_F(SqliteOutboxTest, PagesAreBounded) {
    add("acme", limits::kNoticesPage + 1);
    EXPECT_EQ(unpublished().size(), limits::kNoticesPage);
    EXPECT_EQ(after(OrganizationScope::every(), 0).size(), limits::kNoticesPage);
    EXPECT_EQ(after(OrganizationScope::every(), static_cast<std::int64_t>(limits::kNoticesPage)),
              Sequences({static_cast<std::int64_t>(limits::kNoticesPage) + 1}));
    add("umbrella");
    add("initech");
    EXPECT_EQ(take(2).size(), 2U);
    EXPECT_EQ(take(2).size(), 1U);
}

TEST_F(SqliteOutboxTest, TheLongestDueComesFirst) {
    add("acme", 1, 30);
    add("acme", 1, 10);
    add("umbrella", 1, 20);
    EXPECT_EQ(due(9), Sequences());
    EXPECT_EQ(due(30), Sequences({2, 3}));
    mark(2, Delivery::kDone);
    ASSERT_TRUE(outbox_.mark_delivery(3, Delivery::kPutBack, "", 0));
    EXPECT_EQ(due(30), Sequences({3, 1}));
}

TEST_F(SqliteOutboxTest, AnOrganizationSeesItsOwn) {
    add("acme");
    add("umbrella");
    add("acme");
    EXPECT_EQ(after(OrganizationScope::one("acme"), 0), Sequences({1, 3}));
    EXPECT_EQ(after(OrganizationScope::one("acme"), 1), Sequences({3}));
    EXPECT_EQ(after(OrganizationScope::one(""), 0), Sequences());
    EXPECT_EQ(after(OrganizationScope::one("' OR 1=1 --"), 0), Sequences());
    EXPECT_EQ(after(OrganizationScope::every(), INT64_MAX), Sequences());
}

TEST_F(SqliteOutboxTest, DeliveryDecidesWhatIsStillDue) {
    add("acme", 3);
    mark(1, Delivery::kDone);
    mark(2, Delivery::kGivenUp);
    mark(3, Delivery::kRetry, "503", 100);
    EXPECT_EQ(due(99), Sequences());
    EXPECT_EQ(due(100), Sequences({3}));
    const auto notices = reader_.notices(OrganizationScope::every(), 0);
    for (const model::Notice& notice : notices->items) EXPECT_EQ(notice.attempts, 1);
}

TEST_F(SqliteOutboxTest, AnswersAreCutBetweenCharacters) {
    add("acme");
    std::string answer(limits::kJobTextBytesMax - 1, 'a');
    answer += "\xc3\xa9 and more";
    mark(1, Delivery::kRetry, answer);
    EXPECT_EQ(answer_of(1), std::string(limits::kJobTextBytesMax - 1, 'a'));
    mark(1, Delivery::kRetry, "not UTF-8: \xff\xfe");
    EXPECT_TRUE(is_valid_utf8(answer_of(1))) << answer_of(1);
}

TEST_F(SqliteOutboxTest, UnknownNumbersChangeNothing) {
    add("acme");
    for (const std::int64_t sequence : {99, -1})
        EXPECT_EQ(outbox_.mark_delivery(sequence, Delivery::kDone, "200", 0).error().code,
                  ErrorCode::kConflict);
    EXPECT_EQ(due(0), Sequences({1}));
}

}  // namespace
}  // namespace export_worker::jobs
