#include "daemon/postgres/parameters.hpp"

#include <algorithm>
#include <limits>

#include "base/text.hpp"
#include "daemon/postgres/type_ids.hpp"

namespace export_worker::postgres {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

template <typename T>
void append_number(std::string& out, T value) {
    for (int shift = (static_cast<int>(sizeof value) - 1) * 8; shift >= 0; shift -= 8)
        out += static_cast<char>(static_cast<std::uint64_t>(value) >> shift);
}

// One dimension, without NULLs.
std::string array_head(unsigned element_type, std::size_t size) {
    std::string out;
    append_number(out, std::int32_t{size == 0 ? 0 : 1});
    append_number(out, std::int32_t{0});
    append_number(out, element_type);
    if (size == 0) return out;
    append_number(out, static_cast<std::int32_t>(size));
    append_number(out, std::int32_t{1});  // Its first index.
    return out;
}

}  // namespace

bool is_storable(std::string_view text) {
    return text.find('\0') == std::string_view::npos && is_valid_utf8(text);
}

std::string storable(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        std::string_view good = utf8_prefix(text, text.size());
        good = good.substr(0, good.find('\0'));
        out += good;
        text.remove_prefix(good.size());
        if (text.empty()) break;
        out += kReplacement;
        text.remove_prefix(1);
    }
    return out;
}

void Parameters::add(std::int64_t value) {
    std::string bytes;
    append_number(bytes, value);
    values_.push_back({kBigint, false, {}, std::move(bytes)});
}

void Parameters::add(bool value) {
    values_.push_back({kBoolean, false, {}, std::string(1, value ? '\1' : '\0')});
}

void Parameters::add(std::string_view value) {
    if (is_storable(value)) {
        values_.push_back({kText, false, value, {}});
    } else {
        values_.push_back({kText, false, {}, storable(value)});
    }
}

void Parameters::add(UnixTime value) {
    constexpr std::int64_t kFirst = std::numeric_limits<std::int64_t>::min() + kEpochUnixUs + 1;
    std::string bytes;
    append_number(bytes, std::max(value.us, kFirst) - kEpochUnixUs);
    values_.push_back({kTimestamptz, false, {}, std::move(bytes)});
}

template <typename Text>
void Parameters::add_texts(std::span<const Text> values) {
    std::string bytes = array_head(kText, values.size());
    for (const std::string_view value : values) {
        std::string changed;
        if (!is_storable(value)) changed = storable(value);
        const std::string_view text = changed.empty() ? value : changed;
        append_number(bytes, static_cast<std::int32_t>(text.size()));
        bytes += text;
    }
    values_.push_back({kTextArray, false, {}, std::move(bytes)});
}
template void Parameters::add_texts(std::span<const std::string> values);
template void Parameters::add_texts(std::span<const std::string_view> values);

void Parameters::add(std::span<const std::int64_t> values) {
    std::string bytes = array_head(kBigint, values.size());
    for (const std::int64_t value : values) {
        append_number(bytes, static_cast<std::int32_t>(sizeof value));
        append_number(bytes, value);
    }
    values_.push_back({kBigintArray, false, {}, std::move(bytes)});
}

void Parameters::point() {
    for (const Value& value : values_) {
        const std::string_view bytes =
            value.owned.empty() ? value.borrowed : std::string_view(value.owned);
        types_.push_back(value.type);
        // A null pointer would be NULL; an empty view may have one.
        data_.push_back(value.is_null ? nullptr : bytes.data() == nullptr ? "" : bytes.data());
        lengths_.push_back(static_cast<int>(bytes.size()));
        formats_.push_back(1);
    }
}

}  // namespace export_worker::postgres
