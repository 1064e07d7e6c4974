#include "base/json_fields.hpp"

#include <algorithm>
#include <cmath>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/text.hpp"

namespace export_worker {

using nlohmann::json;

namespace {

tl::unexpected<Error> problem(std::string_view name, const std::string& what) {
    return fail(ErrorCode::kInvalidArgument, std::string(name) + ": " + what);
}

std::string count_expected(const CountBounds& counts, std::string_view unit) {
    std::string out = "at most " + std::to_string(counts.max);
    if (counts.max == SIZE_MAX)
        out = "at least " + std::to_string(counts.min);
    else if (counts.min > 0)
        out = std::to_string(counts.min) + " to " + std::to_string(counts.max);
    return out + " " + std::string(unit);
}

std::string integer_expected(const IntegerBounds& bounds) {
    std::string out = "a whole number";
    if (bounds.min == INT64_MIN) return out;
    if (bounds.max == INT64_MAX) return out + " of at least " + std::to_string(bounds.min);
    return out + " from " + std::to_string(bounds.min) + " to " + std::to_string(bounds.max);
}

}  // namespace

std::string kind_of(const json& value) {
    switch (value.type()) {
        case json::value_t::null: return "null";
        case json::value_t::boolean: return value.get<bool>() ? "true" : "false";
        case json::value_t::string: return "text";
        case json::value_t::object: return "an object";
        case json::value_t::array: return "a list";
        case json::value_t::number_float:
        case json::value_t::number_integer:
        case json::value_t::number_unsigned: return "a number";
        case json::value_t::binary: return "bytes";
        case json::value_t::discarded: break;
    }
    return "no JSON";
}

std::string one_of(Words words) {
    std::string out;
    for (std::size_t index = 0; index < words.size(); ++index) {
        if (index > 0) out += index + 1 == words.size() ? " or " : ", ";
        out += words[index];
    }
    return out;
}

tl::unexpected<Error> unexpected_value(std::string_view name, std::string_view expected,
                                       const json& found) {
    return problem(name, "expected " + std::string(expected) + ", found " + kind_of(found));
}

Result<std::string> text_from(const json& value, std::string_view name, const TextBounds& bounds) {
    if (!value.is_string()) return unexpected_value(name, "text", value);
    const auto& text = value.get_ref<const std::string&>();
    if (text.size() < bounds.bytes_min || text.size() > bounds.bytes_max)
        return problem(name, "expected " +
                                 count_expected({bounds.bytes_min, bounds.bytes_max}, "bytes") +
                                 ", found " + std::to_string(text.size()));
    if (!bounds.control_characters && has_control_characters(text))
        return problem(name, "expected no control characters");
    return text;
}

Result<std::vector<std::string>> texts_from(const json& value, std::string_view name,
                                            const CountBounds& counts, const TextBounds& bounds) {
    EW_CHECK(check_array(value, name, counts));
    std::vector<std::string> out;
    for (const json& each : value) {
        EW_TRY(std::string text, text_from(each, name, bounds));
        out.push_back(std::move(text));
    }
    return out;
}

Result<std::int64_t> integer_from(const json& value, std::string_view name,
                                  const IntegerBounds& bounds) {
    // Unsigned numbers above INT64_MAX would come out negative.
    const bool fits = value.is_number_integer() &&
                      (!value.is_number_unsigned() || value.get<std::uint64_t>() <= INT64_MAX);
    const std::int64_t number = fits ? value.get<std::int64_t>() : 0;
    if (fits && number >= bounds.min && number <= bounds.max) return number;
    const std::string expected = integer_expected(bounds);
    if (!value.is_number() || !std::isfinite(value.get<double>()))
        return unexpected_value(name, expected, value);
    return problem(name, "expected " + expected + ", found " + dump_json(value));
}

Result<bool> boolean_from(const json& value, std::string_view name) {
    if (!value.is_boolean()) return unexpected_value(name, "true or false", value);
    return value.get<bool>();
}

Result<std::size_t> word_from(const json& value, std::string_view name, Words words) {
    if (!value.is_string()) return unexpected_value(name, one_of(words), value);
    const auto& text = value.get_ref<const std::string&>();
    const auto found = std::ranges::find(words, text);
    if (found == words.end())
        return problem(name, "expected " + one_of(words) + ", found '" + printable(text) + "'");
    return static_cast<std::size_t>(found - words.begin());
}

Result<std::int64_t> time_s_from(const json& value, std::string_view name) {
    EW_TRY(const std::string text, text_from(value, name));
    auto seconds = parse_iso8601_seconds(text);
    if (!seconds)
        return problem(
            name, "expected a date of the calendar from 1970 on as YYYY-MM-DDThh:mm:ssZ, found '" +
                      printable(text, 40) + "'");
    return seconds;
}

Result<void> check_object(const json& value, std::string_view name) {
    if (!value.is_object()) return unexpected_value(name, "an object", value);
    return {};
}

Result<void> check_array(const json& value, std::string_view name, const CountBounds& counts) {
    const bool bounded = counts.max != SIZE_MAX;
    const std::string expected =
        bounded ? "a list of " + count_expected(counts, "entries") : std::string("a list");
    if (!value.is_array()) return unexpected_value(name, expected, value);
    if (value.size() < counts.min || value.size() > counts.max)
        return problem(name, "expected " + expected + ", found " + std::to_string(value.size()));
    return {};
}

std::optional<std::string> text_in(const json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
}

JsonFields::JsonFields(const json& object, std::string prefix, Null null)
    : object_(object), prefix_(std::move(prefix)), null_(null) {}

const json* JsonFields::find(const char* name) {
    known_.emplace_back(name);
    const auto found = object_.find(name);
    if (found == object_.end() || (null_ == Null::kAbsent && found->is_null())) return nullptr;
    return &*found;
}

std::string JsonFields::full_name(std::string_view name) const {
    return prefix_ + std::string(name);
}

Result<const json*> JsonFields::required(const char* name) {
    const json* const value = find(name);
    if (value == nullptr) return problem(full_name(name), "missing");
    return value;
}

Result<std::string> JsonFields::text(const char* name, const TextBounds& bounds) {
    EW_TRY(const json* const value, required(name));
    return text_from(*value, full_name(name), bounds);
}

Result<std::int64_t> JsonFields::integer(const char* name, const IntegerBounds& bounds) {
    EW_TRY(const json* const value, required(name));
    return integer_from(*value, full_name(name), bounds);
}

Result<std::optional<std::string>> JsonFields::optional_text(const char* name,
                                                             const TextBounds& bounds) {
    const json* const value = find(name);
    if (value == nullptr) return std::nullopt;
    return text_from(*value, full_name(name), bounds);
}

Result<std::string> JsonFields::text_or(const char* name, std::string absent,
                                        const TextBounds& bounds) {
    const json* const value = find(name);
    if (value == nullptr) return absent;
    return text_from(*value, full_name(name), bounds);
}

Result<std::optional<std::int64_t>> JsonFields::optional_integer(const char* name,
                                                                 const IntegerBounds& bounds) {
    const json* const value = find(name);
    if (value == nullptr) return std::nullopt;
    return integer_from(*value, full_name(name), bounds);
}

Result<std::int64_t> JsonFields::time_s(const char* name) {
    EW_TRY(const json* const value, required(name));
    return time_s_from(*value, full_name(name));
}

Result<std::optional<std::int64_t>> JsonFields::optional_time_us(const char* name) {
    const json* const value = find(name);
    if (value == nullptr) return std::nullopt;
    EW_TRY(const std::int64_t seconds, time_s_from(*value, full_name(name)));
    return seconds * 1'000'000;
}

Result<bool> JsonFields::boolean_or(const char* name, bool absent) {
    const json* const value = find(name);
    if (value == nullptr) return absent;
    return boolean_from(*value, full_name(name));
}

Result<std::size_t> JsonFields::index_or(const char* name, Words words, std::size_t absent) {
    const json* const value = find(name);
    if (value == nullptr) return absent;
    return word_from(*value, full_name(name), words);
}

Result<std::vector<std::string>> JsonFields::texts(const char* name, const CountBounds& counts,
                                                   const TextBounds& bounds) {
    const json* const value = find(name);
    if (value == nullptr) return std::vector<std::string>();
    return texts_from(*value, full_name(name), counts, bounds);
}

Result<const json*> JsonFields::object(const char* name) {
    const json* const value = find(name);
    if (value != nullptr) EW_CHECK(check_object(*value, full_name(name)));
    return value;
}

Result<const json*> JsonFields::array(const char* name, const CountBounds& counts) {
    const json* const value = find(name);
    if (value != nullptr) EW_CHECK(check_array(*value, full_name(name), counts));
    return value;
}

Result<void> JsonFields::refuse_unknown(std::string_view also) const {
    for (const auto& item : object_.items()) {
        if (std::ranges::find(known_, item.key()) != known_.end()) continue;
        std::string expected;
        for (const std::string_view name : known_)
            expected += (expected.empty() ? "" : ", ") + std::string(name);
        if (!also.empty()) expected += ", " + std::string(also);
        return problem(full_name(printable(item.key())),
                       "unknown field; expected only " + expected);
    }
    return {};
}

}  // namespace export_worker
