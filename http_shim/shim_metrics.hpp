// The shim in numbers.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics/page.hpp"
#include "downloads/download.hpp"
#include "http_shim/connections.hpp"
#include "http_shim/routes.hpp"
#include "protocol/client/daemon_pool.hpp"

namespace export_worker::http_shim {

// [the io thread]
class ShimMetrics {
public:
    explicit ShimMetrics(std::string version);

    // `route` null: no such path. Every request is counted once.
    void count(const Route* route, int status, std::chrono::nanoseconds time);
    void count_daemon_call(std::chrono::nanoseconds time) { daemon_seconds_->observe(time); }
    std::uint64_t refused_heads = 0;  // Not acceptable as HTTP; their connections were closed.
    std::uint64_t rate_limited = 0;
    std::uint64_t download_bytes = 0;
    std::uint64_t downloads_incomplete = 0;
    bool configuration_good = true;  // The one in use is the one that was read last.
    std::int64_t configured_unix_s;  // When it was taken over.

    [[nodiscard]] metrics::Page page(
        const Connections& connections, const std::vector<downloads::DownloadRoot>& stores,
        const std::vector<client::DaemonPool::DaemonState>& daemons) const;

private:
    struct PerRoute {
        std::array<std::uint64_t, 6> by_class{};  // 200 to 299 is [2].
        std::unique_ptr<metrics::Histogram> seconds = std::make_unique<metrics::Histogram>();
    };
    const std::string version_;
    std::vector<PerRoute> routes_;  // As routes(), and one more for paths that are none.
    std::unique_ptr<metrics::Histogram> daemon_seconds_;
};

}  // namespace export_worker::http_shim
