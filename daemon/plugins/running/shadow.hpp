// Does a new generation answer as the one before it? Copies of its first requests are answered by
// the one before, and once more by itself: where its two answers agree and the other differs is a
// difference; where they do not (a time, a signature) nothing is known. After Twitter's Diffy
// (2015), which tells noise from change by asking one side twice.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "daemon/plugins/running/plugin_call.hpp"

namespace export_worker::plugins {

// An answer, to be compared: "error CODE", or a msgpack map.
struct ShadowAnswer {
    explicit ShadowAnswer(const ResultWriter& writer);
    std::string error;
    std::string result;
};

struct ShadowReport {
    std::uint64_t compared = 0;
    std::uint64_t different = 0;
    // How often each member differed, as "METHOD /member"; never its values, which may be secret.
    // At most kShadowMembersMax.
    std::map<std::string, std::uint64_t> members;
};

// "answers 3 of 10 requests otherwise than the one before it: METHOD /member (3)"
[[nodiscard]] std::string to_text(const ShadowReport& report);

class Shadow {
public:
    explicit Shadow(std::uint64_t requests) : left_(requests) {}

    // One of the requests to be copied? False once all have been. [any-thread], without a lock
    [[nodiscard]] bool take() noexcept;
    // [any-thread]
    void compare(std::string_view method, const ShadowAnswer& answer, const ShadowAnswer& again,
                 const ShadowAnswer& before);
    [[nodiscard]] ShadowReport read() const;

private:
    std::atomic<std::uint64_t> left_;
    mutable std::mutex mutex_;
    ShadowReport report_;
};

}  // namespace export_worker::plugins
