#include "protocol/message/json_text.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <msgpack.hpp>

#include "base/text.hpp"
#include "protocol/message/limits.hpp"

namespace export_worker::message {
namespace {

// How a byte is written that cannot stand for itself; empty: it can.
std::string_view escape_of(char c) {
    switch (c) {
        case '"': return "\\\"";
        case '\\': return "\\\\";
        case '\b': return "\\b";
        case '\f': return "\\f";
        case '\n': return "\\n";
        case '\r': return "\\r";
        case '\t': return "\\t";
        default: return {};
    }
}

void append_text(std::string& out, std::string_view text) {
    constexpr std::string_view kHex = "0123456789abcdef";
    const bool is_utf8 = is_valid_utf8(text);
    out += '"';
    std::size_t written = 0;  // What stands for itself is appended in runs.
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto byte = static_cast<unsigned char>(text[at]);
        const bool plain = byte >= 0x20 && byte != '"' && byte != '\\' && (byte < 0x80 || is_utf8);
        if (plain) continue;
        out += text.substr(written, at - written);
        written = at + 1;
        const std::string_view escape = escape_of(text[at]);
        if (!escape.empty()) {
            out += escape;
        } else if (byte < 0x20) {
            out += "\\u00";
            out += kHex[byte >> 4U];
            out += kHex[byte & 0xfU];
        } else {
            out += "\xef\xbf\xbd";
        }
    }
    out += text.substr(written);
    out += '"';
}

template <typename Number>
void append_number(std::string& out, Number number) {
    char digits[32];
    const auto [end, error] = std::to_chars(digits, digits + sizeof digits, number);
    out.append(digits, end);
}

// false from a function stops the parser.
class JsonVisitor final : public msgpack::null_visitor {
public:
    explicit JsonVisitor(std::string& out) : out_(out) {}

    bool visit_nil() { return scalar("null"); }
    bool visit_boolean(bool value) { return scalar(value ? "true" : "false"); }
    bool visit_positive_integer(std::uint64_t value) {
        return begin() && (append_number(out_, value), true);
    }
    bool visit_negative_integer(std::int64_t value) {
        return begin() && (append_number(out_, value), true);
    }
    bool visit_float32(float value) { return visit_float64(static_cast<double>(value)); }
    bool visit_float64(double value) {
        if (!std::isfinite(value)) return scalar("null");
        if (!begin()) return false;
        const std::size_t at = out_.size();
        append_number(out_, value);
        // Still a fraction to whoever reads it.
        if (out_.find_first_not_of("-0123456789", at) == std::string::npos) out_ += ".0";
        return true;
    }
    bool visit_str(const char* data, std::uint32_t size) {
        if (!in_key_ && !begin()) return false;
        append_text(out_, {data, size});
        return true;
    }
    bool visit_bin(const char*, std::uint32_t) { return false; }
    bool visit_ext(const char*, std::uint32_t) { return false; }
    bool start_array(std::uint32_t) { return open('['); }
    bool end_array() { return close(']'); }
    bool start_array_item() { return next(); }
    bool start_map(std::uint32_t) { return open('{'); }
    bool end_map() { return close('}'); }
    bool start_map_key() {
        in_key_ = true;
        return next();
    }
    bool end_map_key() {
        in_key_ = false;
        out_ += ':';
        return true;
    }
    void parse_error(std::size_t, std::size_t) {}
    void insufficient_bytes(std::size_t, std::size_t) {}

private:
    [[nodiscard]] bool begin() const { return !in_key_; }  // A key is text.
    bool scalar(std::string_view text) { return begin() && (out_ += text, true); }
    bool open(char bracket) {
        if (!begin() || depth_ == is_first_.size()) return false;
        out_ += bracket;
        is_first_[depth_++] = true;
        return true;
    }
    bool close(char bracket) {
        out_ += bracket;
        --depth_;
        return true;
    }
    bool next() {
        bool& is_first = is_first_[depth_ - 1];
        if (!is_first) out_ += ',';
        is_first = false;
        return true;
    }

    std::string& out_;
    std::array<bool, limits::kReplyDepthMax> is_first_{};  // Of each open container: is its next
                                                           // member its first?
    std::size_t depth_ = 0;
    bool in_key_ = false;
};

}  // namespace

bool append_json(std::string& out, std::string_view msgpack) {
    const std::size_t before = out.size();
    out.reserve(before + msgpack.size() + msgpack.size() / 4);
    JsonVisitor visitor(out);
    std::size_t used = 0;
    if (msgpack::parse(msgpack.data(), msgpack.size(), used, visitor) && used == msgpack.size())
        return true;
    out.resize(before);
    return false;
}

}  // namespace export_worker::message
