// A progress bar on standard error.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace export_worker::exportctl {

// One line that is rewritten in place and never wraps; nothing is drawn when `quiet`, and when
// standard error is no terminal that knows escape sequences.
class ProgressBar {
public:
    explicit ProgressBar(bool quiet);
    ~ProgressBar();  // Ends the line.
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;
    // `total` 0: unknown. `label`: what people read beside the bar.
    void update(std::int64_t done, std::int64_t total, std::string_view label);

private:
    bool active_;
    bool drawn_ = false;
};

// "[#####.....]  50%  5/10 products", at most `columns` characters: the bar gives way first, then
// the label is cut. Without a total: the label.
[[nodiscard]] std::string progress_line(std::int64_t done, std::int64_t total,
                                        std::string_view label, std::size_t columns);

}  // namespace export_worker::exportctl
