#include "daemon/jobs/outbox.hpp"

#include <gtest/gtest.h>

#include "base/text.hpp"
#include "daemon/jobs/job_schema.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/sqlite/database.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::jobs {
namespace {

using model::OrganizationScope;
using sqlite::Connection;
using Delivery = JobStore::Delivery;

class OutboxTest : public ::testing::Test {
protected:
    // Notices of `organization`, each due at `due_us`.
    void add(const std::string& organization, std::size_t count = 1, std::int64_t due_us = 0) {
        ASSERT_TRUE(database_->write([&](Connection& connection) -> Result<void> {
            for (std::size_t index = 0; index < count; ++index) {
                EW_CHECK(connection
                             .statement("INSERT INTO notice (event_id, organization_id, job_id, "
                                        "type, body, at_us, due_us) VALUES ('e', ?1, 'j', "
                                        "'job.completed', '{}', 0, ?2)")
                             .bind(organization, due_us)
                             .run());
            }
            return {};
        }));
    }
    template <typename Work>
    std::vector<std::int64_t> sequences(Work work) {
        std::vector<std::int64_t> out;
        const auto notices = database_->read(work);
        EXPECT_TRUE(notices) << notices.error().message;
        for (const model::Notice& notice : *notices) out.push_back(notice.sequence);
        return out;
    }
    std::vector<std::int64_t> unpublished() {
        return sequences([](Connection& connection) { return unpublished_notices(connection); });
    }
    std::vector<std::int64_t> due(std::int64_t now_us) {
        return sequences([&](Connection& connection) {
            return due_notices(connection, {now_us, now_us});
        });
    }
    std::vector<std::int64_t> after(const OrganizationScope& scope, std::int64_t sequence) {
        return sequences([&](Connection& connection) -> Result<std::vector<model::Notice>> {
            EW_TRY(Page<model::Notice> page, notices_after(connection, scope, sequence));
            return std::move(page.items);
        });
    }
    void mark(std::int64_t sequence, Delivery delivery, std::string_view answer = "200",
              std::int64_t due_us = 0) {
        ASSERT_TRUE(database_->write([&](Connection& connection) {
            return mark_delivery(connection, sequence, delivery, answer, due_us);
        }));
    }
    std::string answer_of(std::int64_t sequence) {
        return *database_->read([&](Connection& connection) -> Result<std::string> {
            auto row = connection.statement("SELECT answer FROM notice WHERE sequence = ?1");
            EW_TRY(const bool found, row.bind(sequence).step());
            return found ? row.string(0) : "none";
        });
    }

    const testing::TempDir dir_;
    std::unique_ptr<sqlite::Database> database_ =
        std::move(*sqlite::Database::open({.path = dir_ / "jobs.db",
                                           .application_id = kJobApplicationId,
                                           .migrations = kJobMigrations}));
};

using Sequences = std::vector<std::int64_t>;

TEST_F(OutboxTest, AnEmptyOneHasNothingToTell) {
    EXPECT_TRUE(unpublished().empty());
    EXPECT_TRUE(due(INT64_MAX).empty());
    EXPECT_TRUE(after(OrganizationScope::every(), 0).empty());
}

TEST_F(OutboxTest, NoticesAreMarkedAsPublishedUpToOne) {
    add("acme", 3);
    ASSERT_TRUE(
        database_->write([](Connection& connection) { return mark_published(connection, 2); }));
    EXPECT_EQ(unpublished(), Sequences({3}));
}

TEST_F(OutboxTest, PagesAreBounded) {
    add("acme", limits::kNoticesPage + 1);
    EXPECT_EQ(unpublished().size(), limits::kNoticesPage);
    EXPECT_EQ(due(0).size(), limits::kNoticesPage);
    EXPECT_EQ(after(OrganizationScope::every(), 0).size(), limits::kNoticesPage);
    EXPECT_EQ(after(OrganizationScope::every(), static_cast<std::int64_t>(limits::kNoticesPage)),
              Sequences({static_cast<std::int64_t>(limits::kNoticesPage) + 1}));
}

TEST_F(OutboxTest, TheLongestDueComesFirst) {
    add("acme", 1, 30);
    add("acme", 1, 10);
    add("acme", 1, 50);
    EXPECT_EQ(due(30), Sequences({2, 1}));
    EXPECT_EQ(due(9), Sequences());
}

TEST_F(OutboxTest, AnOrganizationSeesItsOwn) {
    add("acme");
    add("umbrella");
    add("acme");
    EXPECT_EQ(after(OrganizationScope::one("acme"), 0), Sequences({1, 3}));
    EXPECT_EQ(after(OrganizationScope::one("acme"), 1), Sequences({3}));
    EXPECT_EQ(after(OrganizationScope::one(""), 0), Sequences());
    EXPECT_EQ(after(OrganizationScope::one("' OR 1=1 --"), 0), Sequences());
    EXPECT_EQ(after(OrganizationScope::every(), INT64_MAX), Sequences());
}

TEST_F(OutboxTest, DeliveryDecidesWhatIsStillDue) {
    add("acme", 3);
    mark(1, Delivery::kDone);
    mark(2, Delivery::kGivenUp);
    mark(3, Delivery::kRetry, "503", 100);
    EXPECT_EQ(due(99), Sequences());
    EXPECT_EQ(due(100), Sequences({3}));
    const auto notices = database_->read([](Connection& connection) {
        return notices_after(connection, OrganizationScope::every(), 0);
    });
    for (const model::Notice& notice : notices->items) EXPECT_EQ(notice.attempts, 1);
}

TEST_F(OutboxTest, AnswersAreCutBetweenCharacters) {
    add("acme");
    std::string answer(limits::kJobTextBytesMax - 1, 'a');
    answer += "\xc3\xa9 and more";
    mark(1, Delivery::kRetry, answer);
    EXPECT_EQ(answer_of(1), std::string(limits::kJobTextBytesMax - 1, 'a'));
    mark(1, Delivery::kRetry, "not UTF-8: \xff\xfe");
    EXPECT_TRUE(is_valid_utf8(answer_of(1))) << answer_of(1);
}

TEST_F(OutboxTest, UnknownNumbersChangeNothing) {
    add("acme");
    mark(99, Delivery::kDone);
    mark(-1, Delivery::kDone);
    EXPECT_EQ(due(0), Sequences({1}));
}

}  // namespace
}  // namespace export_worker::jobs
