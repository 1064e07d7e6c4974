// The rows that a statement has answered, in memory, in PostgreSQL's binary format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct pg_result;

namespace export_worker::postgres {

// One row; borrowed from its Rows. Asking for a column that is not there, is of another type or is
// NULL aborts: the statement and who reads it belong together.
class Row {
public:
    Row(const pg_result* result, int index) : result_(result), index_(index) {}

    [[nodiscard]] std::int64_t integer(int column) const;  // smallint, integer, bigint
    [[nodiscard]] std::optional<std::int64_t> optional_integer(int column) const;
    [[nodiscard]] bool boolean(int column) const;
    [[nodiscard]] std::int64_t unix_us(int column) const;  // timestamptz
    [[nodiscard]] std::optional<std::int64_t> optional_unix_us(int column) const;
    [[nodiscard]] std::string_view text(int column) const;
    [[nodiscard]] std::string string(int column) const { return std::string(text(column)); }
    [[nodiscard]] std::optional<std::string> optional_string(int column) const;

private:
    [[nodiscard]] bool is_null(int column) const;
    // Big-endian, as long as the column is.
    [[nodiscard]] std::int64_t number(int column) const;

    const pg_result* result_;
    int index_;
};

// Owns them. [one-owner]
class Rows {
public:
    explicit Rows(pg_result* result) : result_(result, &clear) {}  // Takes ownership.

    [[nodiscard]] int size() const;
    [[nodiscard]] bool empty() const { return size() == 0; }
    [[nodiscard]] Row operator[](int index) const;
    [[nodiscard]] Row front() const { return (*this)[0]; }
    // Rows that an INSERT, UPDATE or DELETE has changed.
    [[nodiscard]] std::int64_t changed() const;
    // What has run: "COMMIT", "ROLLBACK", "UPDATE 1".
    [[nodiscard]] std::string_view command() const;

    class Iterator {
    public:
        Iterator(const Rows* rows, int index) : rows_(rows), index_(index) {}
        Row operator*() const { return (*rows_)[index_]; }
        Iterator& operator++() {
            ++index_;
            return *this;
        }
        bool operator==(const Iterator&) const = default;

    private:
        const Rows* rows_;
        int index_;
    };
    [[nodiscard]] Iterator begin() const { return {this, 0}; }
    [[nodiscard]] Iterator end() const { return {this, size()}; }

    // What `read(Row)` makes of each.
    template <typename Read>
    [[nodiscard]] auto each(const Read& read) const {
        std::vector<decltype(read(front()))> out;
        out.reserve(static_cast<std::size_t>(size()));
        for (const Row row : *this) out.push_back(read(row));
        return out;
    }
    // The first column of the only row, of an answer in text.
    [[nodiscard]] std::int64_t text_integer() const;
    // The first column of all.
    [[nodiscard]] std::vector<std::string> texts() const {
        return each([](const Row& row) { return row.string(0); });
    }

private:
    static void clear(pg_result* result);
    std::unique_ptr<pg_result, void (*)(pg_result*)> result_;
};

}  // namespace export_worker::postgres
