// Limits of daemon/format. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr std::uint32_t kXlsxRowsMax =
    1'048'576;  // Of a sheet, header included; then the next.
inline constexpr std::size_t kXlsxColumnsMax = 16'384;
inline constexpr std::size_t kXlsxCellUnitsMax = 32'767;  // UTF-16; longer ones are cut and marked.
inline constexpr std::uint64_t kXlsxSheetBytesMax =
    3'500'000'000;                                               // Unpacked; then the next sheet.
inline constexpr std::uint64_t kXlsxFileBytesMax = 0xffff'ffff;  // Of zip without its extension.

}  // namespace export_worker::limits
