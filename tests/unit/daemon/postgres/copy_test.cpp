#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "daemon/postgres/connection.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::postgres {
namespace {

constexpr std::chrono::milliseconds kPatience{20'000};

class CopyTest : public testing::PostgresTest {
protected:
    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        options_.connect.application_name = "copy test";
        connection_ = connect();
        ASSERT_NE(connection_, nullptr);
        ASSERT_TRUE(
            connection_->execute("CREATE TEMP TABLE t (id integer PRIMARY KEY, name text)"));
    }
    // `count` rows from `first` on, in pieces of a few rows.
    Result<std::int64_t> copy(int first, int count) {
        int next = first;
        std::string piece;
        return connection_->copy_in(
            "COPY t FROM STDIN",
            [&]() -> Result<std::string_view> {
                piece.clear();
                for (int row = 0; row < 100 && next < first + count; ++row, ++next)
                    piece += std::to_string(next) + "\t" + std::string(100, 'x') + "\n";
                return std::string_view(piece);
            },
            kPatience);
    }
    std::int64_t rows() { return connection_->query("SELECT count(*) FROM t")->front().integer(0); }

    std::unique_ptr<Connection> connection_;
};

TEST_F(CopyTest, RowsGoInAndComeOut) {
    const auto copied = copy(0, 50'000);
    ASSERT_TRUE(copied) << copied.error().message;
    EXPECT_EQ(*copied, 50'000);
    std::size_t bytes = 0;
    const auto read = connection_->copy_out(
        "COPY (SELECT name FROM t ORDER BY id) TO STDOUT",
        [&](std::string_view piece) -> Result<void> {
            bytes += piece.size();
            return {};
        },
        kPatience);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, 50'000);
    EXPECT_EQ(bytes, 50'000U * 101);
    EXPECT_EQ(*copy(50'000, 0), 0);
    EXPECT_EQ(rows(), 50'000);
}

TEST_F(CopyTest, ARowThatTheServerRefusesUndoesTheStatementAlone) {
    ASSERT_TRUE(copy(10, 1));
    const auto refused = copy(0, 50'000);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kConflict) << refused.error().message;
    EXPECT_FALSE(connection_->is_lost());
    EXPECT_EQ(rows(), 1);
}

TEST_F(CopyTest, AnErrorOfThePiecesComesBackAndNothingIsTaken) {
    bool is_second = false;
    const auto given_up = connection_->copy_in(
        "COPY t FROM STDIN",
        [&]() -> Result<std::string_view> {
            if (std::exchange(is_second, true)) return fail(ErrorCode::kDataLoss, "damaged");
            return std::string_view("1\ta\n");
        },
        kPatience);
    ASSERT_FALSE(given_up);
    EXPECT_EQ(given_up.error().message, "damaged");
    EXPECT_EQ(rows(), 0);
}

TEST_F(CopyTest, AnErrorOfWhoTakesThemLosesTheConnection) {
    ASSERT_TRUE(copy(0, 5'000));
    const auto given_up = connection_->copy_out(
        "COPY t TO STDOUT",
        [](std::string_view) -> Result<void> { return fail(ErrorCode::kDataLoss, "full"); },
        kPatience);
    ASSERT_FALSE(given_up);
    EXPECT_EQ(given_up.error().message, "full");
    EXPECT_TRUE(connection_->is_lost());
}

TEST_F(CopyTest, AStatementThatIsWrongIsAnError) {
    const auto wrong = connection_->copy_out(
        "COPY absent TO STDOUT", [](std::string_view) -> Result<void> { return {}; }, kPatience);
    ASSERT_FALSE(wrong);
    EXPECT_FALSE(connection_->is_lost());
    EXPECT_EQ(rows(), 0);
}

TEST_F(CopyTest, ASessionThatEndsMeanwhileIsUnavailable) {
    int pieces = 0;
    std::string piece;
    const auto lost = connection_->copy_in(
        "COPY t FROM STDIN",
        [&]() -> Result<std::string_view> {
            if (++pieces == 2)
                testing::PostgresServer::end_sessions(options_, options_.connect.application_name);
            piece = pieces < 1000 ? std::to_string(pieces) + "\ta\n" : "";
            return std::string_view(piece);
        },
        kPatience);
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, ErrorCode::kUnavailable) << lost.error().message;
    EXPECT_TRUE(connection_->is_lost());
}

}  // namespace
}  // namespace export_worker::postgres
