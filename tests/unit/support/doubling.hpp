// What many rows cost together.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <vector>

namespace export_worker::testing {

inline constexpr double kDoubling = 2.3;

// Twice the rows: at most kDoubling times the cost, in whatever unit.
class Doubling {
public:
    void add(std::uint64_t rows, std::uint64_t cost) {
        if (rows_ > 0) {
            const double times = static_cast<double>(rows) / static_cast<double>(rows_);
            EXPECT_LE(static_cast<double>(cost), static_cast<double>(cost_) * times * kDoubling / 2)
                << rows << " rows";
        }
        rows_ = rows;
        cost_ = cost;
    }

private:
    std::uint64_t rows_ = 0;
    std::uint64_t cost_ = 0;
};

// 1,000 and its doublings up to 4,000, or to what the environment says.
inline std::vector<int> doubling_rows() {
    const char* rows_max = std::getenv("EXPORT_WORKER_COST_ROWS");
    std::vector<int> out;
    for (int rows = 1'000; rows <= (rows_max == nullptr ? 4'000 : std::atoi(rows_max)); rows *= 2)
        out.push_back(rows);
    return out;
}

}  // namespace export_worker::testing
