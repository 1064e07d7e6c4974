#include "daemon/sqlite/integrity.hpp"

#include <gtest/gtest.h>

#include "daemon/sqlite/connection.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::sqlite {
namespace {

class IntegrityTest : public ::testing::Test {
protected:
    void SetUp() override {
        const auto connection = Connection::open(path_, Connection::Mode::kReadWrite);
        ASSERT_TRUE(connection);
        ASSERT_TRUE((*connection)->execute("CREATE TABLE t (x TEXT)"));
        for (int row = 0; row < 200; ++row)
            ASSERT_TRUE((*connection)->execute("INSERT INTO t VALUES (hex(randomblob(100)))"));
    }
    // Overwrites `bytes` at `offset`.
    void damage(std::streamoff offset, std::size_t bytes) const {
        std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
        file.seekp(offset);
        file << std::string(bytes, '\xff');
    }

    const testing::TempDir dir_;
    const std::string path_ = dir_ / "d.db";
};

TEST_F(IntegrityTest, AWholeFileIsGood) {
    EXPECT_TRUE(check_integrity(path_));
}

TEST_F(IntegrityTest, ADamagedPageIsFoundBehindAGoodHeader) {
    damage(4096L * 4, 4096);
    const auto refused = check_integrity(path_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kDataLoss);
    EXPECT_NE(refused.error().message.find(path_), std::string::npos);
}

TEST_F(IntegrityTest, ADamagedSchemaIsAnErrorToo) {
    damage(100, 2000);
    EXPECT_EQ(check_integrity(path_).error().code, ErrorCode::kDataLoss);
}

TEST_F(IntegrityTest, AFileBeforeItsFirstMigrationHasNoTables) {
    EXPECT_TRUE(*has_tables(path_));
    EXPECT_FALSE(*has_tables(dir_.write("empty.db", "")));
    EXPECT_FALSE(has_tables(dir_.write("text.db", "no database, but long enough to be one")));
    EXPECT_FALSE(has_tables(dir_ / "none.db"));
}

}  // namespace
}  // namespace export_worker::sqlite
