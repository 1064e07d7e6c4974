// The checks of validate.hpp as a visitor for msgpack's parser. Private to protocol/message.
//
// Derived is told about scalars and map keys through on_...() hooks with the current depth (1:
// inside the top-level map), so that decoding and validating are one pass over the bytes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>
#include <msgpack.hpp>

#include "base/text.hpp"
#include "protocol/message/limits.hpp"

namespace export_worker::message {

template <typename Derived>
class ValidatingVisitor : public msgpack::null_visitor {
public:
    explicit ValidatingVisitor(std::size_t message_bytes) : bytes_left_(message_bytes) {
        keys_.reserve(16);  // Ordinary requests have fewer, and fewer levels.
        levels_.reserve(8);
    }

    [[nodiscard]] const std::string& problem() const { return problem_; }

    // --- called by msgpack's parser; false stops it ---
    bool visit_nil() { return scalar() && (self().on_other(depth()), true); }
    bool visit_boolean(bool) { return scalar() && (self().on_other(depth()), true); }
    bool visit_positive_integer(std::uint64_t value) {
        return scalar() && (self().on_unsigned(depth(), value), true);
    }
    bool visit_negative_integer(std::int64_t) {
        return scalar() && (self().on_other(depth()), true);
    }
    bool visit_float32(float value) { return visit_float64(static_cast<double>(value)); }
    bool visit_float64(double value) {
        if (!std::isfinite(value)) return fail("a number that is infinite, or none");
        return scalar() && (self().on_other(depth()), true);
    }
    bool visit_str(const char* data, std::uint32_t size) {
        const std::string_view text(data, size);
        if (!count_node()) return false;
        if (!is_valid_utf8(text)) return fail("text that is not UTF-8");
        if (in_key_) return take_key(text);
        self().on_text(depth(), text);
        return true;
    }
    bool visit_bin(const char*, std::uint32_t) {
        return fail("a value of type bin; protocol version 1 uses str");
    }
    bool visit_ext(const char*, std::uint32_t) { return fail("a value of type ext"); }
    bool start_array(std::uint32_t count) {
        return enter(count, 1) && (self().on_other(depth()), push(false));
    }
    bool start_map(std::uint32_t count) {
        return enter(count, 2) && (self().on_map(depth()), push(true));
    }
    bool end_array() { return pop(); }
    bool start_map_key() {
        in_key_ = true;
        return true;
    }
    bool end_map_key() {
        in_key_ = false;
        return true;
    }
    bool end_map() {
        const auto begin = keys_.begin() + static_cast<std::ptrdiff_t>(levels_.back());
        std::sort(begin, keys_.end());
        if (std::adjacent_find(begin, keys_.end()) != keys_.end())
            return fail("a key twice in one map");
        return pop();
    }
    void parse_error(std::size_t, std::size_t) { fail("bytes that are not msgpack"); }
    void insufficient_bytes(std::size_t, std::size_t) { fail("a truncated message"); }

    bool fail(std::string_view what) {
        if (problem_.empty()) problem_ = what;
        return false;
    }

private:
    Derived& self() { return static_cast<Derived&>(*this); }
    [[nodiscard]] std::size_t depth() const { return levels_.size(); }

    bool count_node() {
        if (++nodes_ > limits::kMessageNodesMax) {
            return fail("more than " + std::to_string(limits::kMessageNodesMax) + " nodes");
        }
        return true;
    }
    bool scalar() {
        if (in_key_) return fail("a map key that is not a string");
        return count_node();
    }
    bool enter(std::uint32_t count, std::size_t nodes_each) {
        if (in_key_) return fail("a map key that is not a string");
        // A node takes at least one byte: a header that announces more is refused before anybody
        // reserves.
        if (count * nodes_each > bytes_left_) return fail("a container longer than the message");
        if (depth() >= limits::kMessageDepthMax) {
            return fail("nesting deeper than " + std::to_string(limits::kMessageDepthMax));
        }
        return count_node();
    }
    bool push(bool) {
        levels_.push_back(keys_.size());
        return true;
    }
    bool pop() {
        keys_.resize(levels_.back());
        levels_.pop_back();
        return true;
    }
    bool take_key(std::string_view key) {
        if (key.size() > limits::kMessageKeyBytesMax) {
            return fail("a map key longer than " + std::to_string(limits::kMessageKeyBytesMax) +
                        " bytes");
        }
        keys_.push_back(key);
        self().on_key(depth(), key);
        return true;
    }

    std::size_t bytes_left_;
    std::size_t nodes_ = 0;
    bool in_key_ = false;
    std::vector<std::string_view> keys_;  // Of every open map, outermost first.
    std::vector<std::size_t> levels_;     // Where in keys_ each open container starts.
    std::string problem_;
};

// Runs `visitor` over `bytes`. True when they hold exactly one acceptable object; else problem()
// says why.
template <typename Visitor>
bool visit_whole(std::string_view bytes, Visitor& visitor) {
    std::size_t used = 0;
    if (!msgpack::parse(bytes.data(), bytes.size(), used, visitor))
        return visitor.fail("bytes that are not msgpack");
    if (used != bytes.size()) {
        return visitor.fail(std::to_string(bytes.size() - used) +
                            " trailing bytes after the object");
    }
    return true;
}

}  // namespace export_worker::message
