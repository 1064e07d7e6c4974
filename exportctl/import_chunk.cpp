#include "exportctl/import_chunk.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/json.hpp"
#include "exportctl/limits.hpp"

namespace export_worker::exportctl {
namespace {

// Read as the daemon reads it: of a member that is there twice the last one counts, and escapes are
// decoded. Otherwise two lines of one product could change places.
std::string key_of(std::string_view line, const char* member) {
    const nlohmann::json object = parse_json(line);
    if (!object.is_object()) return "";
    const auto found = object.find(member);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

void ImportChunk::add(ImportLine line) {
    line.key = key_of(line.text, key_member_);
    bytes_ += sizeof(ImportLine) + line.text.capacity() + line.key.capacity();
    lines_.push_back(std::move(line));
}

bool ImportChunk::is_full() const {
    return bytes_ >= limits::kImportChunkBytes;
}

std::vector<ImportLine> ImportChunk::take_sorted() {
    std::ranges::stable_sort(lines_, {}, &ImportLine::key);
    bytes_ = 0;
    return std::exchange(lines_, {});
}

}  // namespace export_worker::exportctl
