// Values of C++ as the parameters $1, $2, ... of a statement: with their types, in PostgreSQL's
// binary format, so that nothing is quoted or parsed.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace export_worker::postgres {

// Microseconds since 1970 as timestamptz.
struct UnixTime {
    std::int64_t us = 0;
};
[[nodiscard]] inline std::optional<UnixTime> unix_time(const std::optional<std::int64_t>& us) {
    return us ? std::optional(UnixTime{*us}) : std::nullopt;
}

// PostgreSQL's text holds no U+0000 and only valid UTF-8. Is this such a text?
[[nodiscard]] bool is_storable(std::string_view text);
// What is stored in place of one that is not: each U+0000 and each invalid byte becomes U+FFFD.
[[nodiscard]] std::string storable(std::string_view text);

// int64_t and int: bigint; bool: boolean; text: text; UnixTime: timestamptz; spans: arrays of text
// and bigint; an optional without a value: NULL of its type. Text is borrowed for the object's
// life. Of a text that is not storable, each U+0000 and each invalid byte becomes U+FFFD.
class Parameters {
public:
    template <typename... Values>
    explicit Parameters(const Values&... values) {
        values_.reserve(sizeof...(values));
        (add(values), ...);
        point();
    }
    Parameters(const Parameters&) = delete;
    Parameters& operator=(const Parameters&) = delete;

    // As PQexecParams() wants them.
    [[nodiscard]] int count() const { return static_cast<int>(values_.size()); }
    [[nodiscard]] const unsigned* types() const { return types_.data(); }
    [[nodiscard]] const char* const* data() const { return data_.data(); }
    [[nodiscard]] const int* lengths() const { return lengths_.data(); }
    [[nodiscard]] const int* formats() const { return formats_.data(); }

private:
    struct Value {
        unsigned type = 0;
        bool is_null = false;
        std::string_view borrowed;
        std::string owned;  // Instead of `borrowed`, if it is not empty.
    };
    void add(std::int64_t value);
    void add(int value) { add(static_cast<std::int64_t>(value)); }
    void add(bool value);
    void add(std::string_view value);
    void add(const std::string& value) { add(std::string_view(value)); }
    void add(const char* value) { add(std::string_view(value)); }
    void add(UnixTime value);
    void add(std::span<const std::string> values) { add_texts(values); }
    void add(const std::vector<std::string>& values) { add_texts<std::string>(values); }
    void add(const std::vector<std::string_view>& values) { add_texts<std::string_view>(values); }
    template <typename Text>
    void add_texts(std::span<const Text> values);
    void add(std::span<const std::int64_t> values);
    void add(const std::vector<std::int64_t>& values) { add(std::span(values)); }
    template <typename T>
    void add(const std::optional<T>& value) {
        if (value) return add(*value);
        add(T());
        values_.back() = {values_.back().type, true, {}, {}};
    }
    void point();

    std::vector<Value> values_;
    std::vector<unsigned> types_;
    std::vector<const char*> data_;  // Into values_.
    std::vector<int> lengths_;
    std::vector<int> formats_;
};

}  // namespace export_worker::postgres
