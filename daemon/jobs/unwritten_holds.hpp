// Holds of organizations that a database could not take.
#pragma once

#include <mutex>
#include <set>
#include <string>
#include <vector>

namespace export_worker::jobs {

// Organizations whose hold could not be written: held until the process ends. [any-thread]
class UnwrittenHolds {
public:
    void set(const std::string& organization_id, bool held);
    [[nodiscard]] bool contains(const std::string& organization_id) const;
    [[nodiscard]] std::vector<std::string> ids() const;

private:
    mutable std::mutex mutex_;
    std::set<std::string> ids_;  // Of A-Z a-z 0-9 . _ -. Guarded by mutex_.
};

}  // namespace export_worker::jobs
