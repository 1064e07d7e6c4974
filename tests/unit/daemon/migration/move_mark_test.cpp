#include "daemon/migration/move_mark.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::migration {
namespace {

TEST(MoveMark, IsReadAsItWasWritten) {
    const testing::TempDir dir;
    const std::string path = dir.path() + "/mark";
    EXPECT_FALSE(*read_move_mark(path));
    ASSERT_TRUE(write_move_mark(path, {"id", "registry", "schema", "2026-01-01", {12, 2, 3}}));
    const auto mark = read_move_mark(path);
    ASSERT_TRUE(mark && *mark);
    EXPECT_EQ((*mark)->move_id, "id");
    EXPECT_EQ((*mark)->schema, "schema");
    EXPECT_EQ((*mark)->schema_versions, (std::array<std::int64_t, kSourceFiles>{12, 2, 3}));
    ASSERT_TRUE(remove_move_mark(path));
    EXPECT_FALSE(*read_move_mark(path));
}

TEST(MoveMark, AnythingElseUnderItsNameIsAnError) {
    const testing::TempDir dir;
    const std::string path = dir.path() + "/mark";
    for (const char* text :
         {"", "{}", R"({"move_id": "a", "schema_versions": {"jobs.db": "x"}})"}) {
        std::ofstream(path) << text;
        const auto mark = read_move_mark(path);
        ASSERT_FALSE(mark) << text;
        EXPECT_EQ(mark.error().code, ErrorCode::kDataLoss);
    }
}

}  // namespace
}  // namespace export_worker::migration
