#include "base/store_mark.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <optional>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker {
namespace {

using testing::TempDir;

TEST(StoreMark, IsMadeOnceAndNamesItsRegistry) {
    const TempDir dir;
    const std::string mark = store_mark_path(dir.path(), "b");
    ASSERT_TRUE(make_store_mark(mark));
    struct stat info {};
    ASSERT_EQ(::stat(mark.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0640U);
    ASSERT_TRUE(make_store_mark(mark));
    ASSERT_TRUE(make_store_mark(store_mark_path(dir.path(), "a")));
    dir.write("export-worker-c", "");
    std::filesystem::create_directory(store_mark_path(dir.path(), "d"));
    EXPECT_EQ(*marked_registries(dir.path()), (std::vector<std::string>{"a", "b"}));
}

TEST(StoreMark, AnythingElseOfThatNameIsRefused) {
    const TempDir dir;
    const std::string mark = store_mark_path(dir.path(), "a");
    std::filesystem::create_directory(mark);
    EXPECT_FALSE(is_store_mark(mark));
    EXPECT_TRUE(has_mark_name(".export-worker-a"));
    EXPECT_FALSE(has_mark_name(".export-worker-"));
    EXPECT_EQ(make_store_mark(mark).error().code, ErrorCode::kFailedPrecondition);
    EXPECT_EQ(make_store_mark(dir / "none/mark").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(marked_registries(dir / "none").error().code, ErrorCode::kNotFound);
}

TEST(StoreMark, ARootIsAwayWithoutWhatItShouldHave) {
    const TempDir dir;
    const std::string root = dir / "root";
    EXPECT_TRUE(is_root_away(root, std::nullopt)) << "missing";
    dir.write("root", "text");
    for (const auto registry :
         {std::optional<std::string_view>(), std::optional<std::string_view>(""),
          std::optional<std::string_view>("a")})
        EXPECT_TRUE(is_root_away(root, registry)) << "a file";
    std::filesystem::remove(root);
    std::filesystem::create_directory(root);
    EXPECT_TRUE(is_root_away(root, std::nullopt)) << "empty";
    dir.write("root/file", "");
    EXPECT_FALSE(is_root_away(root, std::nullopt));
    EXPECT_TRUE(is_root_away(root, "")) << "no mark";
    ASSERT_TRUE(make_store_mark(store_mark_path(root, "b")));
    EXPECT_FALSE(is_root_away(root, ""));
    EXPECT_TRUE(is_root_away(root, "a")) << "the mark of another registry";
    ASSERT_TRUE(make_store_mark(store_mark_path(root, "a")));
    EXPECT_FALSE(is_root_away(root, "a"));
}

TEST(StoreMark, OnlySomeErrorsSayThatThereIsNoFile) {
    EXPECT_TRUE(is_no_file(ENOENT));
    EXPECT_TRUE(is_no_file(ENOTDIR));
    for (const int error : {EACCES, EIO, EMFILE, ESTALE}) EXPECT_FALSE(is_no_file(error)) << error;
}

}  // namespace
}  // namespace export_worker
