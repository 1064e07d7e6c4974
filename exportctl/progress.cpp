#include "exportctl/progress.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/text.hpp"
#include "exportctl/terminal.hpp"

namespace export_worker::exportctl {

ProgressBar::ProgressBar(bool quiet) : active_(!quiet && takes_escapes(STDERR_FILENO)) {}

ProgressBar::~ProgressBar() {
    if (drawn_) std::fprintf(stderr, "\n");
}

void ProgressBar::update(std::int64_t done, std::int64_t total, std::string_view label) {
    if (!active_) return;
    drawn_ = true;
    // Not the last column: a terminal may go on to the next line behind it.
    const std::size_t columns = std::max<std::size_t>(columns_of(STDERR_FILENO), 2) - 1;
    std::fprintf(stderr, "\r\033[K%s",
                 progress_line(done, total, escape_controls(label), columns).c_str());
}

std::string progress_line(std::int64_t done, std::int64_t total, std::string_view label,
                          std::size_t columns) {
    constexpr std::size_t kBarMax = 30;
    constexpr std::size_t kBarMin = 5;
    if (total <= 0) return cut_to(label, columns);
    const std::int64_t percent = std::clamp<std::int64_t>(done * 100 / total, 0, 100);
    std::string number = std::to_string(percent);
    number.insert(0, 3 - number.size(), ' ');
    const std::string tail = number + "%  " + std::string(label);
    constexpr std::size_t kFrame = 3;  // "[", "] "
    const std::size_t taken = width_of(tail) + kFrame;
    const std::size_t bar = std::min(kBarMax, columns > taken ? columns - taken : 0);
    if (bar < kBarMin) return cut_to(tail, columns);
    const std::size_t filled = bar * static_cast<std::size_t>(percent) / 100;
    return "[" + std::string(filled, '#') + std::string(bar - filled, '.') + "] " + tail;
}

}  // namespace export_worker::exportctl
