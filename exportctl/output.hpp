// What people see: tables, a progress bar, sizes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <nlohmann/json_fwd.hpp>

namespace export_worker::exportctl {

// Columns as wide as their widest cell, two blanks between them. Widths count characters, not
// bytes.
void print_table(const std::vector<std::string>& headers,
                 const std::vector<std::vector<std::string>>& rows);
// "name: value" lines, values aligned.
void print_fields(const std::vector<std::pair<std::string, std::string>>& fields);
void print_json(const nlohmann::json& value);
// Text as it is, null as "-", the rest as JSON.
[[nodiscard]] std::string cell(const nlohmann::json& value);

// "90", "90s", "15m", "1h" or "30d" in seconds; nullopt for another text.
[[nodiscard]] std::optional<std::int64_t> parse_length(std::string_view text);

// "a,b" as ["a", "b"]; empty parts are dropped.
[[nodiscard]] nlohmann::json split_commas(const std::string& text);

// One line on stderr that is rewritten in place; silent when stderr is no terminal or `quiet`.
class ProgressBar {
public:
    explicit ProgressBar(bool quiet);
    ~ProgressBar();  // Ends the line.
    // `total` 0: unknown.
    void update(std::int64_t done, std::int64_t total, std::string_view text);

private:
    bool active_;
    bool drawn_ = false;
};

}  // namespace export_worker::exportctl
