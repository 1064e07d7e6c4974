#include "protocol/message/find_text.hpp"

#include <msgpack.hpp>

namespace export_worker::message {
namespace {

class TextVisitor : public msgpack::null_visitor {
public:
    explicit TextVisitor(std::string_view key) : wanted_(key) {}
    std::optional<std::string_view> found;

    bool visit_str(const char* data, std::uint32_t size) {
        if (depth_ != 1) return true;
        const std::string_view text(data, size);
        if (in_key_) {
            key_matches_ = text == wanted_;
            return true;
        }
        if (!key_matches_) return true;
        found = text;
        return false;
    }
    bool start_map(std::uint32_t) { return ++depth_ > 0; }
    bool end_map() { return --depth_ >= 0; }
    bool start_array(std::uint32_t) { return ++depth_ > 0; }
    bool end_array() { return --depth_ >= 0; }
    bool start_map_key() { return in_key_ = true; }
    bool end_map_key() {
        in_key_ = false;
        return true;
    }

private:
    std::string_view wanted_;
    int depth_ = 0;
    bool in_key_ = false;
    bool key_matches_ = false;
};

}  // namespace

std::optional<std::string_view> find_top_level_text(std::string_view bytes, std::string_view key) {
    TextVisitor visitor(key);
    std::size_t used = 0;
    (void)msgpack::parse(bytes.data(), bytes.size(), used, visitor);
    return visitor.found;
}

}  // namespace export_worker::message
