// Workbooks through libxlsxwriter, in its constant-memory mode: a row goes to a temporary file as
// soon as the next one begins. finish() packs those files into the workbook, which takes about as
// long as writing the rows did, and hands it to the sink.
#include <fcntl.h>
#include <unistd.h>
#include <xlsxwriter.h>

#include <cerrno>
#include <charconv>
#include <cmath>

#include "base/io.hpp"
#include "base/unique_fd.hpp"
#include "daemon/format/limits.hpp"
#include "daemon/format/row_encoder.hpp"
#include "daemon/format/workbook_check.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::format {
namespace {

constexpr std::string_view kTruncatedMark = " [truncated]";
constexpr double kColumnWidthMin = 10;
constexpr double kColumnWidthMax = 40;
// Digits a spreadsheet keeps of a number; longer ones stay text.
constexpr std::size_t kNumberDigitsMax = 15;
// Every workbook says it was made at this instant, so that the same products give the same bytes.
constexpr std::time_t kCreated = 946'684'800;  // 2000-01-01T00:00:00Z

Error library_error(const std::string& tried, lxw_error error) {
    const bool disk = error == LXW_ERROR_CREATING_TMPFILE ||
                      error == LXW_ERROR_CREATING_XLSX_FILE ||
                      error == LXW_ERROR_ZIP_FILE_OPERATION || error == LXW_ERROR_ZIP_FILE_ADD ||
                      error == LXW_ERROR_ZIP_CLOSE || error == LXW_ERROR_READING_TMPFILE;
    if (disk && errno != 0) return errno_error(tried + ": " + lxw_strerror(error), errno);
    return {disk ? ErrorCode::kDataLoss : ErrorCode::kInternal, tried + ": " + lxw_strerror(error)};
}

// Characters as a spreadsheet counts them: UTF-16 units.
std::size_t utf16_units(std::string_view text) {
    std::size_t units = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        units += (byte & 0xc0U) != 0x80U;
        units += byte >= 0xf0U;
    }
    return units;
}

// The longest prefix of at most `units_max` units.
std::string_view utf16_prefix(std::string_view text, std::size_t units_max) {
    std::size_t units = 0;
    std::size_t index = 0;
    while (index < text.size()) {
        const auto byte = static_cast<unsigned char>(text[index]);
        const std::size_t bytes = byte < 0x80U ? 1 : byte < 0xe0U ? 2 : byte < 0xf0U ? 3 : 4;
        units += bytes == 4 ? 2 : 1;
        if (units > units_max) break;
        index += bytes;
    }
    return text.substr(0, index);
}

std::size_t digits_of(std::string_view number) {
    std::size_t digits = 0;
    bool leading = true;
    for (const char c : number) {
        if (c == 'e' || c == 'E') break;
        if (c < '0' || c > '9' || (leading && c == '0')) continue;
        leading = false;
        ++digits;
    }
    return digits;
}

class XlsxEncoder final : public RowEncoder {
public:
    using RowEncoder::RowEncoder;
    ~XlsxEncoder() override {
        // Frees the temporary files; what it packs into the file is not looked at.
        if (workbook_ != nullptr) workbook_close(workbook_);
        if (!path_.empty()) (void)::unlink(path_.c_str());
    }

    Result<void> begin() override {
        path_ = deps_.temporary_directory + "/workbook-XXXXXX";
        const UniqueFd made(::mkostemp(path_.data(), O_CLOEXEC));
        if (!made) {
            const int why = errno;
            path_.clear();
            return fail(errno_error("create a file in " + deps_.temporary_directory, why));
        }
        lxw_workbook_options options{};
        options.constant_memory = LXW_TRUE;
        options.tmpdir = deps_.temporary_directory.data();
        workbook_ = workbook_new_opt(path_.c_str(), &options);
        if (workbook_ == nullptr)
            return fail(ErrorCode::kResourceExhausted, "a workbook: out of memory");
        lxw_doc_properties properties{};
        properties.created = kCreated;
        workbook_set_properties(workbook_, &properties);
        header_format_ = workbook_add_format(workbook_);
        format_set_bold(header_format_);
        format_set_bg_color(header_format_, 0xE7E6E6);
        format_set_border(header_format_, LXW_BORDER_THIN);
        date_format_ = workbook_add_format(workbook_);
        format_set_num_format(date_format_, "yyyy-mm-dd");
        return add_sheet();
    }

    Result<void> finish() override {
        EW_CHECK(check_sheet());
        lxw_workbook* workbook = std::exchange(workbook_, nullptr);
        errno = 0;
        if (const lxw_error error = workbook_close(workbook); error != LXW_NO_ERROR)
            return fail(library_error("pack the workbook", error));
        EW_CHECK(check_workbook(path_, static_cast<std::size_t>(report_.sheets)));
        return copy_to_sink();
    }

protected:
    Result<void> append_row(const Row& row) override {
        if (row_ >= limits::kXlsxRowsMax || sheet_is_full()) EW_CHECK(add_sheet());
        for (std::size_t index = 0; index < deps_.columns.size(); ++index) {
            EW_TRY(const Cell value, cell(deps_.columns[index], row));
            EW_CHECK(write_cell(row, index, value));
        }
        ++row_;
        return {};
    }

private:
    Result<void> add_sheet() {
        if (sheet_ != nullptr) EW_CHECK(check_sheet());
        ++report_.sheets;
        const std::string name =
            report_.sheets == 1 ? "Products" : "Products " + std::to_string(report_.sheets);
        errno = 0;
        sheet_ = workbook_add_worksheet(workbook_, name.c_str());
        if (sheet_ == nullptr)
            return fail(errno_error("add a sheet in " + deps_.temporary_directory, errno));
        worksheet_freeze_panes(sheet_, 1, 0);
        for (std::size_t index = 0; index < deps_.columns.size(); ++index) {
            const std::string header = header_of(deps_.columns[index]);
            const double width = std::clamp(static_cast<double>(utf16_units(header)) + 2.0,
                                            kColumnWidthMin, kColumnWidthMax);
            const auto column = static_cast<lxw_col_t>(index);
            worksheet_set_column(sheet_, column, column, width, nullptr);
            if (const lxw_error error =
                    worksheet_write_string(sheet_, 0, column, header.c_str(), header_format_);
                error != LXW_NO_ERROR)
                return fail(library_error("write a header", error));
        }
        row_ = 1;
        return {};
    }

    // The zip format without its later extension holds less than 4 GiB in one entry.
    [[nodiscard]] bool sheet_is_full() const {
        if (row_ % 1024 != 0) return false;
        const auto at = ::ftello(sheet_->optimize_tmpfile);
        return at > static_cast<off_t>(limits::kXlsxSheetBytesMax);
    }

    // The library does not look at what its writes return.
    Result<void> check_sheet() {
        errno = 0;
        if (std::fflush(sheet_->optimize_tmpfile) != 0 || std::ferror(sheet_->optimize_tmpfile))
            return fail(errno_error("write a sheet in " + deps_.temporary_directory,
                                    errno == 0 ? EIO : errno));
        return {};
    }

    Result<void> write_cell(const Row& row, std::size_t index, const Cell& value) {
        const auto column = static_cast<lxw_col_t>(index);
        const auto line = static_cast<lxw_row_t>(row_);
        lxw_error error = LXW_NO_ERROR;
        double number = 0;
        switch (value.kind) {
            case Cell::Kind::kEmpty: return {};
            case Cell::Kind::kBoolean:
                error =
                    worksheet_write_boolean(sheet_, line, column, value.text == "true", nullptr);
                break;
            case Cell::Kind::kDate: {
                lxw_datetime date{};
                date.year = std::stoi(std::string(value.text.substr(0, 4)));
                date.month = std::stoi(std::string(value.text.substr(5, 2)));
                date.day = std::stoi(std::string(value.text.substr(8, 2)));
                const bool fits = date.year >= 1900 && date.month >= 1 && date.month <= 12 &&
                                  date.day >= 1 && date.day <= 31;
                if (!fits) return write_text(row, index, value.text);
                error = worksheet_write_datetime(sheet_, line, column, &date, date_format_);
                break;
            }
            case Cell::Kind::kNumber:
                if (!read_number(value.text, number)) return write_text(row, index, value.text);
                error = worksheet_write_number(sheet_, line, column, number, nullptr);
                break;
            case Cell::Kind::kText:
            case Cell::Kind::kJson: return write_text(row, index, value.text);
        }
        if (error != LXW_NO_ERROR) return fail(library_error("write a cell", error));
        return {};
    }

    static bool read_number(std::string_view text, double& number) {
        if (digits_of(text) > kNumberDigitsMax) return false;
        const auto read = std::from_chars(text.data(), text.data() + text.size(), number);
        return read.ec == std::errc() && read.ptr == text.data() + text.size() &&
               std::isfinite(number);
    }

    Result<void> write_text(const Row& row, std::size_t index, std::string_view text) {
        text_ = text;
        // A byte is never more than a unit, so short texts need no counting.
        if (text.size() > limits::kXlsxCellUnitsMax &&
            utf16_units(text) > limits::kXlsxCellUnitsMax) {
            text_ = utf16_prefix(text, limits::kXlsxCellUnitsMax - kTruncatedMark.size());
            text_ += kTruncatedMark;
            ++report_.truncated_cells;
            warn(row, deps_.columns[index], "truncated",
                 "longer than the " + std::to_string(limits::kXlsxCellUnitsMax) +
                     " characters a cell can hold; the end is marked");
        }
        // A nul character would end the text for the library, and no workbook can hold one.
        std::erase(text_, '\0');
        const lxw_error error =
            worksheet_write_string(sheet_, static_cast<lxw_row_t>(row_),
                                   static_cast<lxw_col_t>(index), text_.c_str(), nullptr);
        if (error != LXW_NO_ERROR) return fail(library_error("write a cell", error));
        return {};
    }

    Result<void> copy_to_sink() {
        const UniqueFd file(::open(path_.c_str(), O_RDONLY | O_CLOEXEC));
        if (!file) return fail(errno_error("open " + path_, errno));
        std::string bytes(limits::kFileWriteBufferBytes, '\0');
        for (;;) {
            const ssize_t got = ::read(file.get(), bytes.data(), bytes.size());
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return fail(errno_error("read " + path_, errno));
            if (got == 0) return {};
            EW_CHECK(deps_.sink->write(
                std::string_view(bytes).substr(0, static_cast<std::size_t>(got))));
        }
    }

    std::string path_;
    lxw_workbook* workbook_ = nullptr;
    lxw_worksheet* sheet_ = nullptr;  // Of workbook_, like the formats.
    lxw_format* header_format_ = nullptr;
    lxw_format* date_format_ = nullptr;
    std::uint32_t row_ = 0;  // The next one of sheet_.
    std::string text_;
};

}  // namespace

std::unique_ptr<ProductEncoder> make_xlsx_encoder(EncoderDeps deps) {
    return std::make_unique<XlsxEncoder>(std::move(deps));
}

}  // namespace export_worker::format
