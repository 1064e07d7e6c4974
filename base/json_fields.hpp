// Values from outside, each read with its kind and its bounds, one by one or as members of an
// object.
//
// Every error is kInvalidArgument with the text "NAME: expected X, found Y". Y is a kind, a size or
// a number, and a text only where one of a few words was expected: a field may hold a secret.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"

namespace export_worker {

struct TextBounds {
    std::size_t bytes_min = 0;
    std::size_t bytes_max = SIZE_MAX;
    bool control_characters = true;  // Whether it may have any.
};
struct CountBounds {
    std::size_t min = 0;
    std::size_t max = SIZE_MAX;
};
struct IntegerBounds {
    std::int64_t min = INT64_MIN;
    std::int64_t max = INT64_MAX;
};
using Words = std::span<const std::string_view>;

// "a, b or c".
[[nodiscard]] std::string one_of(Words words);
// What a value is, for messages: "text", "a list", "true"; "no JSON" when it is discarded.
[[nodiscard]] std::string kind_of(const nlohmann::json& value);
// The error of a value that is not what was expected.
[[nodiscard]] tl::unexpected<Error> unexpected_value(std::string_view name,
                                                     std::string_view expected,
                                                     const nlohmann::json& found);

[[nodiscard]] Result<std::string> text_from(const nlohmann::json& value, std::string_view name,
                                            const TextBounds& bounds = {});
// A list; `bounds` are those of each text.
[[nodiscard]] Result<std::vector<std::string>> texts_from(const nlohmann::json& value,
                                                          std::string_view name,
                                                          const CountBounds& counts = {},
                                                          const TextBounds& bounds = {});
// No fraction, not even ".0".
[[nodiscard]] Result<std::int64_t> integer_from(const nlohmann::json& value, std::string_view name,
                                                const IntegerBounds& bounds = {});
[[nodiscard]] Result<bool> boolean_from(const nlohmann::json& value, std::string_view name);
// The index of the word.
[[nodiscard]] Result<std::size_t> word_from(const nlohmann::json& value, std::string_view name,
                                            Words words);
// "2026-01-31T12:00:00Z", as seconds since 1970.
[[nodiscard]] Result<std::int64_t> time_s_from(const nlohmann::json& value, std::string_view name);
[[nodiscard]] Result<void> check_object(const nlohmann::json& value, std::string_view name);
[[nodiscard]] Result<void> check_array(const nlohmann::json& value, std::string_view name,
                                       const CountBounds& counts = {});

// For what only some members matter of: nullopt when the member is absent or of another kind.
[[nodiscard]] std::optional<std::string> text_in(const nlohmann::json& object, const char* name);

// The members of one object. Of a member that stands there twice, the parser has kept the last
// value, unless JsonBounds::names_unique refused it. [one-owner]
class JsonFields {
public:
    enum class Null {
        kAbsent,   // A null is as good as no member.
        kRefused,  // It is a value of the wrong kind.
    };
    // Borrows `object` and the names given below; what is no object has no members. `prefix` stands
    // in front of names in messages: "error.".
    explicit JsonFields(const nlohmann::json& object, std::string prefix = "",
                        Null null = Null::kAbsent);

    // nullptr when it is absent.
    [[nodiscard]] const nlohmann::json* find(const char* name);
    // Those asked for so far.
    [[nodiscard]] Words names() const { return known_; }
    // What messages call it.
    [[nodiscard]] std::string full_name(std::string_view name) const;

    // Absent: an error.
    [[nodiscard]] Result<std::string> text(const char* name, const TextBounds& bounds = {});
    [[nodiscard]] Result<std::int64_t> integer(const char* name, const IntegerBounds& bounds = {});
    [[nodiscard]] Result<std::int64_t> time_s(const char* name);
    // Absent: nullopt, or what is named for it.
    [[nodiscard]] Result<std::optional<std::string>> optional_text(const char* name,
                                                                   const TextBounds& bounds = {});
    [[nodiscard]] Result<std::string> text_or(const char* name, std::string absent,
                                              const TextBounds& bounds = {});
    [[nodiscard]] Result<std::optional<std::int64_t>> optional_integer(
        const char* name, const IntegerBounds& bounds = {});
    [[nodiscard]] Result<std::optional<std::int64_t>> optional_time_us(const char* name);
    [[nodiscard]] Result<bool> boolean_or(const char* name, bool absent);
    template <typename Enum>  // Its values are the indexes of `words`.
    [[nodiscard]] Result<Enum> word_or(const char* name, Words words, Enum absent) {
        EW_TRY(const std::size_t index, index_or(name, words, static_cast<std::size_t>(absent)));
        return static_cast<Enum>(index);
    }
    // Absent: empty.
    [[nodiscard]] Result<std::vector<std::string>> texts(const char* name,
                                                         const CountBounds& counts = {},
                                                         const TextBounds& bounds = {});
    // Absent: nullptr. Lives as long as the object.
    [[nodiscard]] Result<const nlohmann::json*> object(const char* name);
    [[nodiscard]] Result<const nlohmann::json*> array(const char* name,
                                                      const CountBounds& counts = {});

    // After every known member was asked for: any other is an error, which lists those and `also`.
    [[nodiscard]] Result<void> refuse_unknown(std::string_view also = "") const;

private:
    [[nodiscard]] Result<const nlohmann::json*> required(const char* name);
    [[nodiscard]] Result<std::size_t> index_or(const char* name, Words words, std::size_t absent);

    const nlohmann::json& object_;
    std::string prefix_;
    Null null_;
    std::vector<std::string_view> known_;  // Names asked for.
};

}  // namespace export_worker
