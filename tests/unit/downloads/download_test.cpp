#include "downloads/download.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/hex.hpp"
#include "http_shim/request_head.hpp"
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
        roots_ = {{"x", dir_ / "root", *LinkKeys::open(dir_ / "keys")}};
    }
    Download open(const std::string& path, DownloadRequest request = {}) {
        signing::LocalLinkRequest link;
        link.path = path;
        return open_link(link, request);
    }
    // What is missing in `link` is filled in, except what the file is.
    Download open_link(signing::LocalLinkRequest link, DownloadRequest request = {}) {
        link.base_url = "http://h";
        link.key_id = "k";
        link.secret = "0123456789abcdef";
        link.expires_unix_s = kNow + 1;
        link.filename = "n.csv";
        if (link.store.empty()) link.store = "x";
        const auto url = signing::sign_local_link(link);
        EXPECT_TRUE(url) << url.error().message;
        if (!url) return {};
        request.target = std::string_view(url->url).substr(8);
        return open_download(request, roots_, kNow);
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
    static constexpr std::int64_t kNow = 1'790'000'000;  // In September 2026.
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
    EXPECT_EQ(header(download, "Repr-Digest"), "");
}

// "Gone" is for ever; a store that cannot be reached now is not.
TEST_F(DownloadTest, AFileThatCannotBeOpenedNowIsNotGone) {
    std::filesystem::rename(dir_ / "root", dir_ / "away");
    EXPECT_EQ(open("acme/a.csv").status, 503);
    std::filesystem::rename(dir_ / "away", dir_ / "root");
    EXPECT_EQ(open("acme/a.csv").status, 200);
}

// An empty directory is what a volume that is not mounted leaves; what exports go to has a mark.
TEST_F(DownloadTest, AFileOfARootThatIsAwayIsNotGone) {
    roots_[0].is_marked = true;
    EXPECT_EQ(open("acme/none.csv").status, 503) << "no mark";
    EXPECT_EQ(open("acme/a.csv").status, 200);
    dir_.write("root/.export-worker-0123", "");
    EXPECT_EQ(open("acme/none.csv").status, 410);
    roots_[0].is_marked = false;
    std::filesystem::rename(dir_ / "root", dir_ / "away");
    std::filesystem::create_directory(dir_ / "root");
    EXPECT_EQ(open("acme/a.csv").status, 503) << "an empty directory";
    dir_.write("root/file", "");
    EXPECT_EQ(open("acme/a.csv").status, 410);
    std::filesystem::rename(dir_ / "root", dir_ / "other");
    dir_.write("root", "text");
    for (const bool is_marked : {false, true}) {
        roots_[0].is_marked = is_marked;
        EXPECT_EQ(open("acme/a.csv").status, 503) << "a file in place of the root";
    }
}

TEST_F(DownloadTest, TheLinkSaysWhatTheFileIs) {
    signing::LocalLinkRequest link;
    link.path = "acme/a.csv";
    link.content_type = "application/json";
    // printf 0123456789 | sha256sum
    link.sha256_hex = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";
    const std::string digest = "sha-256=:hNiYd/DUBB77a/kaFvAkjy/Vc+avBcGflr7bn4gveII=:";
    for (const DownloadRequest& request : {DownloadRequest{}, DownloadRequest{.range = "bytes=2-3"},
                                           DownloadRequest{.head = true}}) {
        const Download download = open_link(link, request);
        EXPECT_EQ(download.content_type, "application/json");
        EXPECT_EQ(header(download, "Repr-Digest"), digest) << "of the whole file, always";
    }
}

// Two stores of one key file, and the same path in both.
TEST_F(DownloadTest, ALinkOpensOnlyItsOwnStore) {
    std::filesystem::create_directories(dir_ / "other/acme");
    dir_.write("other/acme/a.csv", "theirs");
    dir_.write("other/acme/b.csv", "theirs");
    roots_.push_back({"y", dir_ / "other", *LinkKeys::open(dir_ / "keys")});
    signing::LocalLinkRequest link;
    link.path = "acme/a.csv";
    EXPECT_EQ(open_link(link).bytes, 10U);
    link.store = "y";
    EXPECT_EQ(open_link(link).bytes, 6U);
    link.path = "acme/b.csv";
    EXPECT_EQ(open_link(link).bytes, 6U);
    link.store = "x";
    EXPECT_EQ(open_link(link).status, 410);
    link.store = "z";
    EXPECT_EQ(open_link(link).status, 403);
}

// It does not name its store: with one that has its key, it lives out its time.
TEST_F(DownloadTest, ALinkOfTheOldFormNeedsAKeyOfOneStoreAlone) {
    const auto link = signing::sign_local_link(
        {"http://h", "acme/a.csv", "k", "0123456789abcdef", kNow + 1, "n.csv"});
    const DownloadRequest request{.target = std::string_view(link->url).substr(8)};
    EXPECT_EQ(open_download(request, roots_, kNow).status, 200);
    dir_.write("keys2", "k " + std::string(32, 'a') + "\n");
    roots_.insert(roots_.begin(), {"y", dir_ / "other", *LinkKeys::open(dir_ / "keys2")});
    EXPECT_EQ(open_download(request, roots_, kNow).status, 200);
    roots_.push_back({"z", dir_ / "other", *LinkKeys::open(dir_ / "keys")});
    EXPECT_EQ(open_download(request, roots_, kNow).status, 403);
}

// Whatever can be signed, the shim's check of request heads lets through.
TEST_F(DownloadTest, EveryLinkThatIsMintedCanBeAskedFor) {
    for (const std::string& path :
         {std::string("acme/a.csv"), std::string("acme/(1) 'x':~*%+&=;?#.csv"),
          std::string("acme/\xc3\xbc\"<>|^`{}.csv"), std::string("acme/..."),
          "acme/" + std::string(600, '%'), "acme/" + std::string(601, '%'),
          "acme/" + std::string(1019, 'x'), std::string("acme/a\\b"), std::string("acme/a%2Fb")}) {
        const auto link = signing::sign_local_link(
            {"http://h", path, "k", "0123456789abcdef", kNow + 1, "n.csv", "x"});
        if (!link) continue;
        const std::string_view target = std::string_view(link->url).substr(8);
        const std::string head = "GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n";
        EXPECT_TRUE(http_shim::parse_request_head(head, {})) << path;
        EXPECT_EQ(open_download({.target = target}, roots_, kNow).status,
                  path == "acme/a.csv" ? 200 : 410)
            << path;
    }
}

TEST_F(DownloadTest, RangesFollowRfc9110) {
    struct Case {
        const char* range;
        int status;
        std::uint64_t offset;
        std::uint64_t bytes;
    };
    for (const Case& each : {Case{"bytes=0-3", 206, 0, 4},
                             Case{"bytes=4-", 206, 4, 6},
                             Case{"bytes=-3", 206, 7, 3},
                             Case{"bytes=-99", 206, 0, 10},
                             Case{"bytes=5-99", 206, 5, 5},
                             Case{"bytes=9-9", 206, 9, 1},
                             Case{"bytes=0-1,3-4", 200, 0, 10},
                             Case{"bytes=3-1", 200, 0, 10},
                             Case{"bytes=a-b", 200, 0, 10},
                             Case{"lines=0-1", 200, 0, 10},
                             Case{"Bytes=0-3", 206, 0, 4},
                             Case{"BYTES=-3", 206, 7, 3},
                             Case{"bytes", 200, 0, 10},
                             Case{"bytes 0-3", 200, 0, 10},
                             Case{"bytes=10-", 416, 0, 0},
                             Case{"bytes=-0", 416, 0, 0},
                             Case{"bytes=0-99999999999999999999", 206, 0, 10},
                             Case{"bytes=-99999999999999999999", 206, 0, 10},
                             Case{"bytes=99999999999999999999-", 416, 0, 0},
                             Case{"bytes=0-9x", 200, 0, 10}}) {
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

// A range is part of the meaning of GET alone (RFC 9110, 14.2).
TEST_F(DownloadTest, HeadIgnoresRange) {
    for (const char* range : {"bytes=0-3", "bytes=10-", "bytes=-0"}) {
        const Download download = open("acme/a.csv", {.range = range, .head = true});
        EXPECT_EQ(download.status, 200) << range;
        EXPECT_EQ(download.bytes, 10U) << range;
        EXPECT_EQ(header(download, "Content-Range"), "") << range;
    }
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
    const std::string first = header(open("acme/a.csv"), "ETag");
    EXPECT_EQ(header(open("acme/a.csv"), "ETag"), first);
    dir_.write("root/acme/a.csv", "01234567890");
    const std::string longer = header(open("acme/a.csv"), "ETag");
    EXPECT_NE(longer, first);
    const auto earlier = std::filesystem::last_write_time(dir_ / "root/acme/a.csv");
    dir_.write("root/acme/a.csv", "abcdefghijk");
    std::filesystem::last_write_time(dir_ / "root/acme/a.csv", earlier + std::chrono::seconds(1));
    EXPECT_NE(header(open("acme/a.csv"), "ETag"), longer) << "as long, written later";
    signing::LocalLinkRequest link;
    link.path = "acme/a.csv";
    const std::string digest(64, '1');
    link.sha256_hex = digest;
    const std::string known = header(open_link(link), "ETag");
    const std::string other_digest(64, '2');
    link.sha256_hex = other_digest;
    EXPECT_NE(header(open_link(link), "ETag"), known);
    link.sha256_hex = digest;
    dir_.write("root/acme/a.csv", "cut");
    EXPECT_NE(header(open_link(link), "ETag"), known) << "no longer what was published";
}

// Restored from a backup, or behind the same proxy on another machine.
TEST_F(DownloadTest, ACopyOfAFileHasItsTag) {
    const std::filesystem::path file = dir_ / "root/acme/a.csv";
    const std::string by_time = header(open("acme/a.csv"), "ETag");
    signing::LocalLinkRequest link;
    link.path = "acme/a.csv";
    const std::string sha256(64, '1');
    link.sha256_hex = sha256;
    const std::string by_digest = header(open_link(link), "ETag");
    const auto written = std::filesystem::last_write_time(file);
    std::filesystem::copy_file(file, dir_ / "copy");
    std::filesystem::rename(dir_ / "copy", file);
    std::filesystem::last_write_time(file, written);
    EXPECT_EQ(header(open("acme/a.csv"), "ETag"), by_time);
    std::filesystem::last_write_time(file, written + std::chrono::hours(1));
    EXPECT_EQ(header(open_link(link), "ETag"), by_digest) << "whatever became of its time";
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
    EXPECT_EQ(status({.if_modified_since = "Fri, 30 Feb 2096 00:00:00 GMT"}), 200);
    EXPECT_EQ(status({.if_match = etag}), 200);
    EXPECT_EQ(status({.if_match = weak}), 412);
    EXPECT_EQ(status({.if_match = "\"other\""}), 412);
    EXPECT_EQ(status({.if_unmodified_since = modified}), 200);
    EXPECT_EQ(status({.if_unmodified_since = kLongAgo}), 412);
    EXPECT_EQ(status({.range = "bytes=0-1", .if_range = etag}), 206);
    EXPECT_EQ(status({.range = "bytes=0-1", .if_range = modified}), 206);
    EXPECT_EQ(status({.range = "bytes=0-1", .if_range = "\"other\""}), 200);
    EXPECT_EQ(status({.range = "bytes=0-1", .if_range = kLongAgo}), 200);
}

// RFC 9110, 5.6.7: a recipient takes all three.
TEST_F(DownloadTest, DatesHaveThreeForms) {
    // 2004-11-07T08:49:37Z
    const timespec times[2] = {{1'099'817'377, 0}, {1'099'817'377, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, (dir_ / "root/acme/a.csv").c_str(), times, 0), 0);
    const auto status = [&](const DownloadRequest& request) {
        return open("acme/a.csv", request).status;
    };
    ASSERT_EQ(header(open("acme/a.csv"), "Last-Modified"), "Sun, 07 Nov 2004 08:49:37 GMT");
    for (const char* same : {"Sun, 07 Nov 2004 08:49:37 GMT", "Sunday, 07-Nov-04 08:49:37 GMT",
                             "Sun Nov  7 08:49:37 2004"}) {
        EXPECT_EQ(status({.if_modified_since = same}), 304) << same;
        EXPECT_EQ(status({.if_unmodified_since = same}), 200) << same;
        EXPECT_EQ(status({.range = "bytes=0-1", .if_range = same}), 206) << same;
    }
    for (const char* before : {"Sun, 07 Nov 2004 08:49:36 GMT", "Sunday, 07-Nov-04 08:49:36 GMT",
                               "Sun Nov  7 08:49:36 2004", "Friday, 01-Jan-99 00:00:00 GMT",
                               // Not more than 50 years ahead of September 2026.
                               "Friday, 01-Jan-77 00:00:00 GMT"}) {
        EXPECT_EQ(status({.if_modified_since = before}), 200) << before;
        EXPECT_EQ(status({.if_unmodified_since = before}), 412) << before;
        EXPECT_EQ(status({.range = "bytes=0-1", .if_range = before}), 200) << before;
    }
    EXPECT_EQ(status({.if_modified_since = "Friday, 01-Jan-76 00:00:00 GMT"}), 304);
    EXPECT_EQ(status({.if_modified_since = "Sun Nov 7 08:49:37 2004 GMT"}), 200);
}

TEST_F(DownloadTest, RefusesBadLinksMissingFilesAndWaysOut) {
    EXPECT_EQ(open_download({.target = "/exports/acme/a.csv"}, roots_, kNow).status, 403);
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
