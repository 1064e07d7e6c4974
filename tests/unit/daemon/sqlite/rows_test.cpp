#include "daemon/sqlite/rows.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::sqlite {
namespace {

class RowsTest : public ::testing::Test {
protected:
    static constexpr const char* kThree = "VALUES (1), (2), (3)";
    static std::int64_t number(const Statement& row) { return row.integer(0); }

    const testing::TempDir dir_;
    std::unique_ptr<Connection> connection_ =
        std::move(*Connection::open(dir_ / "rows.db", Connection::Mode::kReadWrite));
};

TEST_F(RowsTest, EveryRowIsReadInOrder) {
    Statement rows = connection_->statement(kThree);
    EXPECT_EQ(read_all(rows, number), std::vector<std::int64_t>({1, 2, 3}));
    Statement none = connection_->statement("SELECT 1 WHERE false");
    EXPECT_EQ(read_all(none, number), std::vector<std::int64_t>());
}

TEST_F(RowsTest, AnErrorOfTheReaderEndsIt) {
    Statement rows = connection_->statement(kThree);
    int seen = 0;
    const auto ended = for_each_row(rows, [&](const Statement& row) -> Result<void> {
        ++seen;
        if (row.integer(0) == 2) return fail(ErrorCode::kDataLoss, "two");
        return {};
    });
    EXPECT_EQ(ended.error().message, "two");
    EXPECT_EQ(seen, 2);
}

TEST_F(RowsTest, AnErrorOfTheDatabaseComesBack) {
    // Computed when the row is read, which is too late for the statement to be refused.
    Statement rows = connection_->statement("VALUES (1), (abs(-9223372036854775807 - 1))");
    EXPECT_FALSE(read_all(rows, number));
}

}  // namespace
}  // namespace export_worker::sqlite
