#include "daemon/jobs/sqlite/job_schema.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/unit/support/statements.hpp"

namespace export_worker::jobs {
namespace {

// Tables that grow as long as the daemon runs.
constexpr std::array<std::string_view, 6> kGrowing{"job",        "job_entry", "job_event",
                                                   "job_access", "file",      "notice"};
// A walk along one of these finds nothing but what the statement is about: jobs that run, external
// jobs that say how long they may be silent, files that wait for their deletion, the oldest file,
// notices for the socket.
constexpr std::array<std::string_view, 6> kShort{"job_running",   "job_silent",
                                                 "file_intended", "file_withdrawn",
                                                 "file_live",     "notice_unpublished"};

using Database = std::unique_ptr<sqlite3, int (*)(sqlite3*)>;

Database open_schema() {
    (void)testing::Statements::get();  // Which lets the program configure SQLite first.
    sqlite3* database = nullptr;
    EXPECT_EQ(sqlite3_open(":memory:", &database), SQLITE_OK);
    for (const char* migration : kJobMigrations)
        EXPECT_EQ(sqlite3_exec(database, migration, nullptr, nullptr, nullptr), SQLITE_OK)
            << sqlite3_errmsg(database);
    return {database, sqlite3_close};
}

bool is_of_migration(const std::string& sql) {
    return std::ranges::any_of(kJobMigrations, [&](const std::string_view migration) {
        return migration.find(sql) != std::string_view::npos;
    });
}

// An open looks at the first row of each table and index, whatever it is.
bool is_of_open(std::string_view sql) {
    return sql.starts_with("SELECT * FROM \"") &&
           (sql.ends_with(" NOT INDEXED LIMIT 1") || sql.ends_with("\" LIMIT 1"));
}

bool walks(const std::string& step) {
    const bool is_short = std::ranges::any_of(kShort, [&](std::string_view index) {
        return step.ends_with(" INDEX " + std::string(index));
    });
    return !is_short && std::ranges::any_of(kGrowing, [&](std::string_view table) {
        return step == "SCAN " + std::string(table) ||
               step.starts_with("SCAN " + std::string(table) + " ");
    });
}

// The steps of a statement's plan that look at every row of a growing table; empty for what is not
// of this schema.
std::vector<std::string> walks_of(sqlite3* database, const std::string& sql) {
    std::vector<std::string> out;
    sqlite3_stmt* compiled = nullptr;
    if (sqlite3_prepare_v2(database, ("EXPLAIN QUERY PLAN " + sql).c_str(), -1, &compiled,
                           nullptr) != SQLITE_OK)
        return out;
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> owner(compiled, sqlite3_finalize);
    while (sqlite3_step(compiled) == SQLITE_ROW) {
        const std::string step = reinterpret_cast<const char*>(sqlite3_column_text(compiled, 3));
        if (walks(step)) out.push_back(step);
    }
    return out;
}

// After each test of the conformance suite, which call everything that the store has.
class PlanCheck final : public ::testing::EmptyTestEventListener {
    static bool concerns(const ::testing::TestInfo& test) {
        return std::string_view(test.test_suite_name()).find("JobStoreConformance") !=
               std::string_view::npos;
    }
    void OnTestStart(const ::testing::TestInfo& test) override {
        if (concerns(test)) (void)testing::Statements::get().take_texts();
    }
    void OnTestEnd(const ::testing::TestInfo& test) override {
        if (!concerns(test)) return;
        if (!schema_) schema_ = open_schema();
        for (const std::string& sql : testing::Statements::get().take_texts()) {
            if (is_of_migration(sql) || is_of_open(sql) || !seen_.insert(sql).second) continue;
            for (const std::string& step : walks_of(schema_.get(), sql))
                ADD_FAILURE() << "expected an index that has what the statement wants, found '"
                              << step << "' in: " << sql;
        }
    }
    std::set<std::string> seen_;
    Database schema_{nullptr, sqlite3_close};
};

[[maybe_unused]] const bool kChecked = [] {
    ::testing::UnitTest::GetInstance()->listeners().Append(new PlanCheck);
    return true;
}();

TEST(JobSchema, AStatementWithoutItsIndexIsFound) {
    const Database schema = open_schema();
    const auto walks = [&](const char* sql) { return walks_of(schema.get(), sql).size(); };
    EXPECT_EQ(walks("SELECT 1 FROM job WHERE status = 'in_progress'"), 1U);
    EXPECT_EQ(walks("SELECT count(*) FROM notice"), 1U);
    EXPECT_EQ(walks("DELETE FROM instance WHERE instance_id NOT IN (SELECT owner FROM job)"), 1U);
    EXPECT_EQ(walks("SELECT 1 FROM job ORDER BY job_id"), 1U);
    EXPECT_EQ(walks("SELECT 1 FROM job WHERE job_id = ?1"), 0U);
    EXPECT_EQ(walks("SELECT 1 FROM job WHERE status = 'in_progress' AND runner = 'daemon'"), 0U);
    EXPECT_EQ(walks("SELECT 1 FROM no_such_table"), 0U);
}

}  // namespace
}  // namespace export_worker::jobs
