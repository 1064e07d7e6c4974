// The structure of a zip file: PKWARE's APPNOTE.TXT 6.3, sections 4.3.12 (central directory) and
// 4.3.16 (its end).
#include "daemon/format/workbook_check.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

#include "base/unique_fd.hpp"
#include "daemon/format/limits.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::format {
namespace {

constexpr std::size_t kEndBytes = 22;
constexpr std::size_t kEntryBytes = 46;
constexpr std::size_t kLocalHeaderBytes = 30;

tl::unexpected<Error> broken(const std::string& what) {
    return fail(ErrorCode::kDataLoss, "the workbook is not whole: " + what);
}

std::uint32_t number_at(std::string_view bytes, std::size_t at, std::size_t size) {
    std::uint32_t out = 0;
    for (std::size_t index = size; index-- > 0;)
        out = out << 8U | static_cast<unsigned char>(bytes[at + index]);
    return out;
}

Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t bytes) {
    std::string out(bytes, '\0');
    std::size_t done = 0;
    while (done < bytes) {
        const ssize_t got =
            ::pread(fd, out.data() + done, bytes - done, static_cast<off_t>(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail(errno_error("read the workbook", errno));
        if (got == 0) return broken("it ends early");
        done += static_cast<std::size_t>(got);
    }
    return out;
}

struct Entry {
    std::uint64_t offset = 0;  // Of its local header.
    std::uint64_t packed_bytes = 0;
};

// The last bytes of what is packed at `entry`.
Result<std::string> unpacked_tail(int fd, const Entry& entry, std::size_t tail_bytes) {
    EW_TRY(const std::string header, read_at(fd, entry.offset, kLocalHeaderBytes));
    std::uint64_t at =
        entry.offset + kLocalHeaderBytes + number_at(header, 26, 2) + number_at(header, 28, 2);
    std::uint64_t left = entry.packed_bytes;
    z_stream stream{};
    if (inflateInit2(&stream, -MAX_WBITS) != Z_OK)
        return fail(ErrorCode::kResourceExhausted, "unpack the workbook: out of memory");
    const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream, inflateEnd);
    std::string out(limits::kFileWriteBufferBytes, '\0');
    std::string tail;
    std::string in;
    int status = Z_OK;
    while (status != Z_STREAM_END) {
        if (stream.avail_in == 0) {
            if (left == 0) return broken("a sheet's packed bytes end early");
            EW_TRY(in, read_at(fd, at, std::min<std::uint64_t>(left, out.size())));
            at += in.size();
            left -= in.size();
            stream.next_in = reinterpret_cast<Bytef*>(in.data());
            stream.avail_in = static_cast<uInt>(in.size());
        }
        do {
            stream.next_out = reinterpret_cast<Bytef*>(out.data());
            stream.avail_out = static_cast<uInt>(out.size());
            status = inflate(&stream, Z_NO_FLUSH);
            if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
                return broken("a sheet cannot be unpacked");
            tail.append(out, 0, out.size() - stream.avail_out);
            if (tail.size() > tail_bytes) tail.erase(0, tail.size() - tail_bytes);
        } while (status == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0));
    }
    return tail;
}

}  // namespace

Result<void> check_workbook(const std::string& path, std::size_t sheets) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(errno_error("open " + path, errno));
    struct stat info {};
    if (::fstat(fd.get(), &info) != 0) return fail(errno_error("stat " + path, errno));
    const auto size = static_cast<std::uint64_t>(info.st_size);
    if (size > limits::kXlsxFileBytesMax)
        return fail(ErrorCode::kInvalidArgument,
                    "xlsx: the workbook would be larger than the 4 GiB its format allows; export "
                    "csv, or fewer products or columns");
    if (size < kEndBytes) return broken("it ends early");
    EW_TRY(const std::string end, read_at(fd.get(), size - kEndBytes, kEndBytes));
    if (!end.starts_with("PK\x05\x06")) return broken("it has no end");
    EW_TRY(const std::string directory,
           read_at(fd.get(), number_at(end, 16, 4), number_at(end, 12, 4)));
    constexpr std::string_view kSheetFolder = "xl/worksheets/sheet";
    constexpr std::string_view kSheetEnd = "</worksheet>";
    std::size_t found = 0;
    for (std::size_t at = 0; at + kEntryBytes <= directory.size();) {
        const std::size_t name_bytes = number_at(directory, at + 28, 2);
        const std::string_view name =
            std::string_view(directory).substr(at + kEntryBytes, name_bytes);
        if (name.starts_with(kSheetFolder)) {
            EW_TRY(const std::string tail, unpacked_tail(fd.get(),
                                                         {number_at(directory, at + 42, 4),
                                                          number_at(directory, at + 20, 4)},
                                                         kSheetEnd.size()));
            if (tail != kSheetEnd) return broken("a sheet ends early; was the disk full?");
            ++found;
        }
        at += kEntryBytes + name_bytes + number_at(directory, at + 30, 2) +
              number_at(directory, at + 32, 2);
    }
    if (found != sheets) return broken("a sheet is missing");
    return {};
}

}  // namespace export_worker::format
