// A store of keys, members and sessions as the conformance suite needs it.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "daemon/auth/auth_store.hpp"

namespace export_worker::auth {

struct AuthStoreUnderTest {
    std::string name;
    // The store of the directory; nullptr, with a failure of the test: it cannot be opened.
    std::function<std::unique_ptr<AuthStore>(const std::string& directory)> open;
    // Why it cannot be tested here; empty: it can.
    std::function<std::string()> why_not = [] { return std::string(); };
};

inline void PrintTo(const AuthStoreUnderTest& store, std::ostream* out) {
    *out << store.name;
}

}  // namespace export_worker::auth
