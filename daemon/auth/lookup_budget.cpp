#include "daemon/auth/lookup_budget.hpp"

#include <array>
#include <cstring>
#include <functional>
#include <string>

#include "base/address_list.hpp"
#include "base/crypto/random.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {
namespace {

bool has_address(std::string_view client_address) {
    return !client_address.empty() && client_address != "unix";
}

std::uint64_t random_seed() {
    std::array<std::uint8_t, sizeof(std::uint64_t)> random{};
    crypto::fill_random(random);
    std::uint64_t out = 0;
    std::memcpy(&out, random.data(), sizeof out);
    return out;
}

}  // namespace

LookupBudget::LookupBudget(const Clock& clock)
    : clock_(clock),
      seed_(random_seed()),
      by_address_(limits::kAddressLookupsPerSecond, limits::kAddressLookupsBurst),
      unaddressed_(limits::kUnaddressedLookupsPerSecond, limits::kUnaddressedLookupsBurst) {}

std::uint64_t LookupBudget::caller_of(std::string_view client_address) const {
    return std::hash<std::string>()(std::to_string(seed_) +
                                    limit_group(std::string(client_address)));
}

bool LookupBudget::take(std::string_view client_address) {
    const std::lock_guard lock(mutex_);
    return has_address(client_address)
               ? !by_address_.take(caller_of(client_address), clock_.steady())
               : !unaddressed_.take(0, clock_.steady());
}

bool LookupBudget::is_spent(std::string_view client_address) const {
    const std::lock_guard lock(mutex_);
    return has_address(client_address)
               ? by_address_.wait(caller_of(client_address), clock_.steady()).has_value()
               : unaddressed_.wait(0, clock_.steady()).has_value();
}

}  // namespace export_worker::auth
