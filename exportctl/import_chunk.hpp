// Lines of an import, put into the order of their keys before they are sent: products that are
// neighbours share a page of the database, which then is written once for all of them. Leaves
// nothing behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace export_worker::exportctl {

struct ImportLine {
    std::string text;             // Without its end.
    std::int64_t number = 0;      // In the input, from 1.
    std::int64_t bytes_read = 0;  // Of the input, with the end of the line.
    std::string key;              // Set by ImportChunk::add(). Empty: the line has none.
};

// [one-owner]
class ImportChunk {
public:
    // `key_member`: the member of a line's object that is its key; a literal.
    explicit ImportChunk(const char* key_member) : key_member_(key_member) {}

    void add(ImportLine line);
    // The lines take kImportChunkBytes of memory or more: at most one line more.
    [[nodiscard]] bool is_full() const;
    // All lines, in the order of their keys as the database compares them (byte by byte), those
    // without a key first. Lines of one key stay in the order of the input, so that the last one
    // still wins. The chunk is empty afterwards.
    [[nodiscard]] std::vector<ImportLine> take_sorted();

private:
    const char* key_member_;
    std::vector<ImportLine> lines_;
    std::size_t bytes_ = 0;  // Of memory.
};

}  // namespace export_worker::exportctl
