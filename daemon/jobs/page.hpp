// A list that ends early when its texts reach kJobsPageBytesMax.
#pragma once

#include <vector>

namespace export_worker::jobs {

template <typename T>
struct Page {
    std::vector<T> items;
    bool more = false;  // Something follows the last item.
};

}  // namespace export_worker::jobs
