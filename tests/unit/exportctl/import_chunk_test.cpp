#include "exportctl/import_chunk.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "exportctl/limits.hpp"

namespace export_worker::exportctl {
namespace {

using Numbers = std::vector<std::int64_t>;

Numbers order_of(const char* member, const std::vector<std::string>& lines) {
    ImportChunk chunk(member);
    std::int64_t number = 0;
    for (const std::string& line : lines)
        chunk.add({line, ++number, static_cast<std::int64_t>(line.size()) + 1, ""});
    Numbers out;
    for (const ImportLine& line : chunk.take_sorted()) {
        EXPECT_EQ(line.text, lines.at(static_cast<std::size_t>(line.number) - 1));
        out.push_back(line.number);
    }
    EXPECT_TRUE(chunk.take_sorted().empty());
    return out;
}

TEST(ImportChunk, SortsByTheKeyWhereverItStands) {
    EXPECT_EQ(order_of("key", {R"({"key":"c","x":1})", R"({"x":{"key":"z"},"key":"a"})",
                               R"( { "key" : "b" } )"}),
              (Numbers{2, 3, 1}));
    EXPECT_EQ(order_of("product_key",
                       {R"({"product_key":"b","key":"a"})", R"({"product_key":"a","key":"b"})"}),
              (Numbers{2, 1}));
}

// As SQLite compares text, whatever the locale.
TEST(ImportChunk, ComparesBytes) {
    EXPECT_EQ(order_of("key", {R"({"key":"é"})", R"({"key":"b"})", R"({"key":"B"})",
                               R"({"key":"a-1"})", R"({"key":"a"})"}),
              (Numbers{3, 5, 4, 2, 1}));
}

// The last one wins, also when the key is written in another way.
TEST(ImportChunk, LinesOfOneKeyStayInOrder) {
    EXPECT_EQ(order_of("key",
                       {R"({"key":"b","v":1})", R"({"key":"a","v":1})", R"({"key":"\u0062","v":2})",
                        R"({"key":"a","v":2})", R"({"key":"0","v":3,"key":"b"})"}),
              (Numbers{2, 4, 1, 3, 5}));
}

TEST(ImportChunk, LinesWithoutAKeyStayInOrderBeforeTheOthers) {
    EXPECT_EQ(order_of("key", {R"({"key":"a"})", "nonsense", R"({"key":7})", "", "[1]"}),
              (Numbers{2, 3, 4, 5, 1}));
}

TEST(ImportChunk, IsFullBeforeItsMemoryIs) {
    ImportChunk chunk("key");
    const std::string line = R"({"key":"a","x":")" + std::string(1'000'000, 'x') + "\"}";
    std::size_t lines = 0;
    for (; !chunk.is_full(); ++lines) chunk.add({line, 1, 1, ""});
    EXPECT_EQ(lines, limits::kImportChunkBytes / line.size() + 1);
    (void)chunk.take_sorted();
    EXPECT_FALSE(chunk.is_full());
    for (lines = 0; !chunk.is_full(); ++lines) chunk.add({"", 1, 1, ""});
    EXPECT_LE(lines, limits::kImportChunkBytes / sizeof(ImportLine) + 1);
}

}  // namespace
}  // namespace export_worker::exportctl
