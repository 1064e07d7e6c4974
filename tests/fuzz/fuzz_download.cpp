// Downloads: the signed link, the conditions and the range of a request from a stranger. Without
// the key there is no file; with a link, only files below the root, and only bytes within them.
//
// An input is up to nine lines: path and file name of a link that is signed here, Range, If-Range,
// If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, and a target that is taken as it
// is. "$E" stands for the entity tag of the file, "$M" for its time.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "downloads/download.hpp"
#include "signing/local_link.hpp"

using namespace export_worker;
using namespace export_worker::downloads;

namespace {

constexpr std::string_view kSecret = "0123456789abcdef";
constexpr std::int64_t kNow = 1'700'000'000;
constexpr std::uint64_t kBigBytes = 5ULL << 30;

void check(bool good) {
    if (!good) std::abort();
}

// A store with an ordinary, an empty and a very large file, and links that lead out of it.
class Site {
public:
    Site() {
        path_ = (std::filesystem::temp_directory_path() / "export-worker-fuzz-XXXXXX").string();
        check(::mkdtemp(path_.data()) != nullptr);
        std::filesystem::create_directories(path_ + "/store/acme");
        write("keys", "k 30313233343536373839616263646566\n");
        write("secret.csv", "not for download");
        write("store/acme/a.csv", std::string(1000, 'x'));
        write("store/empty.xlsx", "");
        write("store/acme/big.jsonl.zst", "");
        std::filesystem::resize_file(path_ + "/store/acme/big.jsonl.zst", kBigBytes);
        std::filesystem::create_symlink("../secret.csv", path_ + "/store/out.csv");
        std::filesystem::create_directory_symlink("..", path_ + "/store/up");
        auto keys = LinkKeys::open(path_ + "/keys");
        check(keys.has_value());
        roots_ = {{"local", path_ + "/store", *keys}};
        for (const char* name :
             {"store/acme/a.csv", "store/empty.xlsx", "store/acme/big.jsonl.zst"}) {
            struct stat info {};
            check(::stat((path_ + "/" + name).c_str(), &info) == 0);
            inodes_.push_back(info.st_ino);
        }
    }
    Site(const Site&) = delete;
    Site& operator=(const Site&) = delete;
    ~Site() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }

    [[nodiscard]] const std::vector<DownloadRoot>& roots() const { return roots_; }
    // Of the open file. Aborts when it is not one of those below the root.
    [[nodiscard]] std::uint64_t bytes_of(int fd) const {
        struct stat info {};
        check(::fstat(fd, &info) == 0);
        check(std::ranges::find(inodes_, info.st_ino) != inodes_.end());
        return static_cast<std::uint64_t>(info.st_size);
    }

private:
    void write(const std::string& name, const std::string& text) const {
        const std::string path = path_ + "/" + name;
        std::ofstream(path, std::ios::binary) << text;
        std::filesystem::permissions(
            path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
        // 2023-11-14T22:13:20Z, so that an input can name the time of a file.
        const timespec times[2] = {{kNow, 0}, {kNow, 0}};
        check(::utimensat(AT_FDCWD, path.c_str(), times, 0) == 0);
    }

    std::string path_;
    std::vector<DownloadRoot> roots_;
    std::vector<ino_t> inodes_;  // Of the files that may be downloaded.
};

std::string header_of(const Download& download, std::string_view name) {
    for (const auto& [each, value] : download.headers) {
        if (each == name) return value;
    }
    return {};
}

// `text` with the entity tag and the time of the file in place of "$E" and "$M".
std::string filled(std::string_view text, const std::string& etag, const std::string& modified) {
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const std::string_view two = text.substr(at, 2);
        if (two == "$E" || two == "$M") {
            out += two == "$E" ? etag : modified;
            ++at;
        } else {
            out += text[at];
        }
    }
    return out;
}

void check_answer(const Site& site, const Download& answer) {
    constexpr std::array<int, 7> kStatuses{200, 206, 304, 403, 410, 412, 416};
    check(std::ranges::find(kStatuses, answer.status) != kStatuses.end());
    for (const auto& [name, value] : answer.headers) {
        for (const char c : value) check(c >= 0x20 && c < 0x7f);
    }
    const bool sends = answer.status == 200 || answer.status == 206;
    check(static_cast<bool>(answer.file) == sends);
    check(answer.detail.empty() == (sends || answer.status == 304));
    if (!sends) return;
    const std::uint64_t size = site.bytes_of(answer.file.get());
    check(answer.offset <= size && answer.bytes <= size - answer.offset);
    if (answer.status == 200) {
        check(answer.offset == 0 && answer.bytes == size);
    } else {
        check(answer.bytes > 0);
        check(header_of(answer, "Content-Range") ==
              "bytes " + std::to_string(answer.offset) + "-" +
                  std::to_string(answer.offset + answer.bytes - 1) + "/" + std::to_string(size));
    }
}

std::array<std::string_view, 9> lines_of(std::string_view text) {
    std::array<std::string_view, 9> out;
    for (std::string_view& line : out) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        line = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    static const Site site;
    const auto lines = lines_of({reinterpret_cast<const char*>(data), size});
    DownloadRequest stranger;
    stranger.target = lines[8];
    check(open_download(stranger, site.roots(), kNow).status == 403);

    const auto link = signing::sign_local_link(
        {"https://h", lines[0], "k", kSecret, kNow + 60, lines[1], "local"});
    if (!link) return 0;
    DownloadRequest request;
    request.target = std::string_view(link->url).substr(std::string_view("https://h").size());
    check(open_download(request, site.roots(), kNow + 60).status == 403);
    const Download plain = open_download(request, site.roots(), kNow);
    check(plain.status == 200 || plain.status == 410);
    check_answer(site, plain);
    const std::string etag = header_of(plain, "ETag");
    const std::string modified = header_of(plain, "Last-Modified");
    std::array<std::string, 6> values;
    for (std::size_t index = 0; index < values.size(); ++index)
        values[index] = filled(lines[index + 2], etag, modified);
    request.range = values[0];
    request.if_range = values[1];
    request.if_match = values[2];
    request.if_none_match = values[3];
    request.if_modified_since = values[4];
    request.if_unmodified_since = values[5];
    check_answer(site, open_download(request, site.roots(), kNow));
    return 0;
}
