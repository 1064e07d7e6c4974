// The tokens that claims carry, and those of claims whose outcome is unknown: the next claim runs
// with such a token again, and so finds the job that the first one may have taken.
#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

namespace export_worker::jobs {

// No other claim has it.
[[nodiscard]] std::string new_claim_token();

// At most one for each worker. [any-thread]
class UnresolvedClaims {
public:
    // nullopt: there is none.
    [[nodiscard]] std::optional<std::string> take();
    void keep(std::string claim_token);

private:
    std::mutex mutex_;
    std::vector<std::string> tokens_;  // Guarded by mutex_.
};

}  // namespace export_worker::jobs
