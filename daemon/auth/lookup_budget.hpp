// How often the identity provider may be asked about sessions that were never seen here: by client
// address, so a client with made-up tokens uses up only its own limit.
#pragma once

#include <cstdint>
#include <mutex>
#include <string_view>

#include "base/clock.hpp"
#include "base/rate_limiter.hpp"

namespace export_worker::auth {

// [any-thread]
class LookupBudget {
public:
    // `clock` outlives the budget.
    explicit LookupBudget(const Clock& clock);

    // Counts one lookup. False: none is left for now. `client_address` empty or "unix": one budget
    // for all such clients.
    [[nodiscard]] bool take(std::string_view client_address);
    // take() would return false.
    [[nodiscard]] bool is_spent(std::string_view client_address) const;

private:
    [[nodiscard]] std::uint64_t caller_of(std::string_view client_address) const;

    const Clock& clock_;
    const std::uint64_t seed_;  // So that no client can choose whose share it counts for.
    mutable std::mutex mutex_;
    RateLimiter by_address_;   // Guarded by mutex_.
    RateLimiter unaddressed_;  // Guarded by mutex_.
};

}  // namespace export_worker::auth
