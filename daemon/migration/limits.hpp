// Limits of daemon/migration. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

// Rows of one COPY: the server keeps a note of each until its end, to check what it refers to.
inline constexpr std::int64_t kMoveRowsMax = 20'000;
// Bytes of rows in memory before they are sent.
inline constexpr std::size_t kMovePieceBytes = 256 * 1024;
// No answer of the server for so long: the move ends, and nothing of it is there.
inline constexpr std::chrono::milliseconds kMoveAnswerMax{300'000};
// Between two statements, while the files are read.
inline constexpr std::chrono::milliseconds kMoveIdleMax{600'000};
// The mark of a move. A larger file is none.
inline constexpr std::size_t kMoveMarkBytesMax = 64 * 1024;
// Jobs whose files are looked at together.
inline constexpr std::int64_t kMovedFilesBatch = 100;
// Files that were left, with the reason; more are only counted.
inline constexpr std::int64_t kMovedFilesListed = 100;
// Bytes of a file in memory, beside what the store keeps of it.
inline constexpr std::size_t kMovedFilePieceBytes = 256 * 1024;

}  // namespace export_worker::limits
