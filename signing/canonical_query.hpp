// The query string of a V4 signature, the one place that puts it into its canonical form: names
// and values percent-encoded, sorted by encoded name, then by value; a name without a value keeps
// its '='.
#pragma once

#include <array>
#include <cstddef>
#include <memory_resource>
#include <string>
#include <string_view>
#include <vector>

namespace export_worker::signing {

// Written where it belongs: behind what `out` has already. Parameters that come in order, as nearly
// all do, are never moved.
class CanonicalQuery {
public:
    // `out` outlives this object; until finish() only this object appends to it.
    explicit CanonicalQuery(std::string& out);
    CanonicalQuery(const CanonicalQuery&) = delete;
    CanonicalQuery& operator=(const CanonicalQuery&) = delete;

    // Both before encoding.
    void add(std::string_view name, std::string_view value);
    // A name that needs no encoding, in two pieces; the caller appends the encoded value to the
    // string this returns.
    std::string& begin(std::string_view prefix, std::string_view name);
    // The canonical form stands in `out`.
    void finish();

private:
    struct Parameter {
        std::size_t begin;  // In out_: NAME=VALUE.
        std::size_t equals;
    };
    void start();
    [[nodiscard]] std::string_view name(std::size_t index) const;
    [[nodiscard]] std::string_view value(std::size_t index) const;
    [[nodiscard]] std::size_t end(std::size_t index) const;
    [[nodiscard]] bool less(std::size_t a, std::size_t b) const;
    void reorder();

    std::string& out_;
    const std::size_t begin_;
    std::array<std::byte, 16 * sizeof(Parameter)> space_;  // More than 16 are allocated.
    std::pmr::monotonic_buffer_resource resource_{space_.data(), space_.size()};
    std::pmr::vector<Parameter> parameters_{&resource_};
};

}  // namespace export_worker::signing
