#include "downloads/download.hpp"

#include <gtest/gtest.h>

#include "base/hex.hpp"
#include "signing/local_link.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::downloads {
namespace {

class DownloadTest : public ::testing::Test {
protected:
    void SetUp() override {
        std::filesystem::create_directories(dir_ / "root/acme");
        dir_.write("root/acme/a.csv", "0123456789");
        dir_.write("secret", "outside");
        std::filesystem::create_symlink(dir_ / "secret", dir_ / "root/acme/link.csv");
        dir_.write("keys", "k " + to_hex_text("0123456789abcdef") + "\n");
        roots_ = {{"store.x", dir_ / "root", *LinkKeys::open(dir_ / "keys")}};
    }
    Download open(const std::string& path, DownloadRequest request = {}) {
        const auto link =
            signing::sign_local_link({"http://h", path, "k", "0123456789abcdef", 1000, "n.csv"});
        request.target = std::string_view(link->url).substr(8);
        return open_download(request, roots_, 999);
    }
    static std::string to_hex_text(std::string_view text) {
        return to_hex({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
    }
    std::string header(const Download& download, const std::string& name) {
        for (const auto& [each, value] : download.headers) {
            if (each == name) return value;
        }
        return "";
    }
    const testing::TempDir dir_;
    std::vector<DownloadRoot> roots_;
};

TEST_F(DownloadTest, ServesTheWholeFileWithItsName) {
    const Download download = open("acme/a.csv");
    EXPECT_EQ(download.status, 200);
    EXPECT_TRUE(static_cast<bool>(download.file));
    EXPECT_EQ(download.bytes, 10U);
    EXPECT_EQ(header(download, "Content-Disposition"), "attachment; filename=\"n.csv\"");
    EXPECT_EQ(header(download, "Accept-Ranges"), "bytes");
    EXPECT_EQ(download.content_type, "text/csv; charset=utf-8");
}

TEST_F(DownloadTest, RangesFollowRfc9110) {
    struct Case {
        const char* range;
        int status;
        std::uint64_t offset;
        std::uint64_t bytes;
    };
    for (const Case& each : {Case{"bytes=0-3", 206, 0, 4}, Case{"bytes=4-", 206, 4, 6},
                             Case{"bytes=-3", 206, 7, 3}, Case{"bytes=-99", 206, 0, 10},
                             Case{"bytes=5-99", 206, 5, 5}, Case{"bytes=9-9", 206, 9, 1},
                             Case{"bytes=0-1,3-4", 200, 0, 10}, Case{"bytes=3-1", 200, 0, 10},
                             Case{"bytes=a-b", 200, 0, 10}, Case{"lines=0-1", 200, 0, 10},
                             Case{"bytes=10-", 416, 0, 0}, Case{"bytes=-0", 416, 0, 0}}) {
        const Download download = open("acme/a.csv", {.range = each.range});
        EXPECT_EQ(download.status, each.status) << each.range;
        if (each.status != 416) {
            EXPECT_EQ(download.offset, each.offset) << each.range;
            EXPECT_EQ(download.bytes, each.bytes) << each.range;
        }
    }
    EXPECT_EQ(header(open("acme/a.csv", {.range = "bytes=2-4"}), "Content-Range"), "bytes 2-4/10");
    EXPECT_EQ(header(open("acme/a.csv", {.range = "bytes=10-"}), "Content-Range"), "bytes */10");
}

TEST_F(DownloadTest, AnEmptyFileHasNoRange) {
    dir_.write("root/acme/empty.csv", "");
    for (const char* range : {"bytes=-5", "bytes=0-", "bytes=0-0"}) {
        const Download refused = open("acme/empty.csv", {.range = range});
        EXPECT_EQ(refused.status, 416) << range;
        EXPECT_EQ(header(refused, "Content-Range"), "bytes */0") << range;
    }
    const Download whole = open("acme/empty.csv");
    EXPECT_EQ(whole.status, 200);
    EXPECT_EQ(whole.bytes, 0U);
}

// A cache or a download that is resumed must never mix two files.
TEST_F(DownloadTest, AnotherFileHasAnotherTag) {
    dir_.write("root/acme/b.csv", "0123456789");
    const std::string first = header(open("acme/a.csv"), "ETag");
    EXPECT_EQ(header(open("acme/a.csv"), "ETag"), first);
    EXPECT_NE(header(open("acme/b.csv"), "ETag"), first) << "the same bytes, another file";
    dir_.write("root/acme/a.csv", "01234567890");
    const std::string longer = header(open("acme/a.csv"), "ETag");
    EXPECT_NE(longer, first);
    const auto earlier = std::filesystem::last_write_time(dir_ / "root/acme/a.csv");
    dir_.write("root/acme/a.csv", "abcdefghijk");
    std::filesystem::last_write_time(dir_ / "root/acme/a.csv", earlier + std::chrono::seconds(1));
    EXPECT_NE(header(open("acme/a.csv"), "ETag"), longer) << "as long, written later";
}

TEST_F(DownloadTest, ConditionsFollowRfc9110) {
    const std::string etag = header(open("acme/a.csv"), "ETag");
    const std::string modified = header(open("acme/a.csv"), "Last-Modified");
    const std::string weak = "W/" + etag;
    const std::string list = "\"x\", " + etag;
    const char* const kLongAgo = "Thu, 01 Jan 1998 00:00:00 GMT";
    const auto status = [&](const DownloadRequest& request) {
        return open("acme/a.csv", request).status;
    };
    EXPECT_EQ(status({.if_none_match = etag}), 304);
    EXPECT_EQ(status({.if_none_match = weak}), 304);
    EXPECT_EQ(status({.if_none_match = list}), 304);
    EXPECT_EQ(status({.if_none_match = "*"}), 304);
    EXPECT_EQ(status({.if_none_match = "\"other\""}), 200);
    EXPECT_EQ(status({.if_none_match = "\"other\"", .if_modified_since = modified}), 200);
    EXPECT_EQ(status({.if_modified_since = modified}), 304);
    EXPECT_EQ(status({.if_modified_since = kLongAgo}), 200);
    EXPECT_EQ(status({.if_modified_since = "yesterday"}), 200);
    EXPECT_EQ(status({.if_match = etag}), 200);
    EXPECT_EQ(status({.if_match = weak}), 412);
    EXPECT_EQ(status({.if_match = "\"other\""}), 412);
    EXPECT_EQ(status({.if_unmodified_since = modified}), 200);
    EXPECT_EQ(status({.if_unmodified_since = kLongAgo}), 412);
    EXPECT_EQ(status({.range = "bytes=0-1", .if_range = etag}), 206);
    EXPECT_EQ(status({.range = "bytes=0-1", .if_range = modified}), 206);
    EXPECT_EQ(status({.range = "bytes=0-1", .if_range = "\"other\""}), 200);
}

TEST_F(DownloadTest, RefusesBadLinksMissingFilesAndWaysOut) {
    EXPECT_EQ(open_download({.target = "/exports/acme/a.csv"}, roots_, 999).status, 403);
    EXPECT_EQ(open("acme/none.csv").status, 410);
    EXPECT_EQ(open("acme").status, 410);
    EXPECT_EQ(open("acme/link.csv").status, 410);  // A link that leaves the root.
    std::filesystem::create_symlink("a.csv", dir_ / "root/acme/alias.csv");
    EXPECT_EQ(open("acme/alias.csv").status, 410);  // Nor one inside it.
    const auto link = signing::sign_local_link(
        {"http://h", "acme/a.csv", "k", "0123456789abcdef", 1000, "n.csv"});
    const Download expired =
        open_download({.target = std::string_view(link->url).substr(8)}, roots_, 1000);
    EXPECT_EQ(expired.status, 403);
    EXPECT_NE(expired.detail.find("expired"), std::string::npos);
}

TEST_F(DownloadTest, KeysAreReadAgainWhenTheirFileChanges) {
    EXPECT_EQ(open("acme/a.csv").status, 200);
    dir_.write("keys", "other " + std::string(32, 'a') + "\n");
    EXPECT_EQ(open("acme/a.csv").status, 403);
    dir_.write("keys", "rubbish");
    EXPECT_EQ(open("acme/a.csv").status, 403);
    dir_.write("keys", "k2 " + std::string(32, 'a') + "\nk " + to_hex_text("0123456789abcdef"));
    EXPECT_EQ(open("acme/a.csv").status, 200);
    dir_.write("keys", "rubbish");  // The last good ones go on.
    EXPECT_EQ(open("acme/a.csv").status, 200);
}

}  // namespace
}  // namespace export_worker::downloads
