#include "http_shim/shim_metrics.hpp"

#include "base/clock.hpp"

namespace export_worker::http_shim {

using metrics::Kind;

ShimMetrics::ShimMetrics(std::string version)
    : configured_unix_s(system_clock().unix_us() / 1'000'000),
      version_(std::move(version)),
      routes_(routes().size() + 1),
      daemon_seconds_(std::make_unique<metrics::Histogram>()) {}

void ShimMetrics::count(const Route* route, int status, std::chrono::nanoseconds time) {
    const std::size_t index =
        route == nullptr ? routes().size() : static_cast<std::size_t>(route - routes().data());
    ++routes_[index].by_class.at(static_cast<std::size_t>(status / 100));
    routes_[index].seconds->observe(time);
}

metrics::Page ShimMetrics::page(const Connections& connections,
                                const std::vector<downloads::DownloadRoot>& stores,
                                const std::vector<client::DaemonPool::DaemonState>& daemons) const {
    metrics::Page page;
    const auto name_of = [](std::size_t index) {
        return index < routes().size() ? std::string(routes()[index].pattern) : std::string("none");
    };
    const auto method_of = [](std::size_t index) {
        return index >= routes().size()                  ? "any"
               : routes()[index].method == Method::kPost ? "POST"
                                                         : "GET";
    };
    page.family("export_httpd_requests_total", "Requests by route and class of status",
                Kind::kCounter);
    for (std::size_t index = 0; index < routes_.size(); ++index) {
        for (std::size_t status = 2; status < 6; ++status) {
            page.sample({{"method", method_of(index)},
                         {"route", name_of(index)},
                         {"status", std::to_string(status) + "xx"}},
                        static_cast<double>(routes_[index].by_class[status]));
        }
    }
    page.family("export_httpd_request_seconds", "From the head until the response is written",
                Kind::kHistogram);
    for (std::size_t index = 0; index < routes_.size(); ++index)
        page.sample({{"method", method_of(index)}, {"route", name_of(index)}},
                    *routes_[index].seconds);
    page.family("export_httpd_daemon_seconds", "From a message to a daemon until its reply",
                Kind::kHistogram);
    page.sample({}, *daemon_seconds_);
    const auto one = [&](const char* name, const char* help, Kind kind, std::uint64_t value) {
        page.family(name, help, kind);
        page.sample({}, static_cast<double>(value));
    };
    one("export_httpd_heads_refused_total", "Requests that were not acceptable as HTTP",
        Kind::kCounter, refused_heads);
    one("export_httpd_rate_limited_total", "Requests answered 429", Kind::kCounter, rate_limited);
    one("export_httpd_connections_refused_total",
        "Closed at once: too many of their address, or in all", Kind::kCounter,
        connections.refused());
    one("export_httpd_connections_idle_closed_total", "Waited for a request, closed to make room",
        Kind::kCounter, connections.closed_idle());
    one("export_httpd_held_bytes", "Bodies that arrive and answers that wait for their readers",
        Kind::kGauge, connections.bytes_held());
    one("export_httpd_download_bytes_total", "Bytes of files sent", Kind::kCounter, download_bytes);
    one("export_httpd_downloads_incomplete_total", "Downloads that ended before their last byte",
        Kind::kCounter, downloads_incomplete);
    one("export_httpd_connections", "Open connections", Kind::kGauge, connections.open());
    one("export_httpd_configuration_good",
        "1: the configuration in use is the one that was read last", Kind::kGauge,
        configuration_good ? 1 : 0);
    one("export_httpd_configured_timestamp_seconds",
        "When the configuration in use was taken over, in seconds since 1970", Kind::kGauge,
        static_cast<std::uint64_t>(configured_unix_s));
    const auto each = [&](const char* name, const char* help, Kind kind, auto value) {
        page.family(name, help, kind);
        for (const auto& daemon : daemons)
            page.sample({{"endpoint", daemon.endpoint}}, static_cast<double>(value(daemon)));
    };
    using State = client::DaemonPool::DaemonState;
    each("export_httpd_daemon_up", "1: connected, answers pings and does not drain", Kind::kGauge,
         [](const State& of) { return of.connected && of.answers && !of.draining ? 1 : 0; });
    each("export_httpd_daemon_in_flight", "Requests a daemon has", Kind::kGauge,
         [](const State& of) { return of.in_flight; });
    each("export_httpd_daemon_requests_total", "Requests sent to a daemon", Kind::kCounter,
         [](const State& of) { return of.sent; });
    each("export_httpd_daemon_losses_total", "Connections lost", Kind::kCounter,
         [](const State& of) { return of.losses; });
    page.family("export_httpd_store_info", "1: the shim serves the files of this local store",
                Kind::kGauge);
    for (const downloads::DownloadRoot& store : stores)
        page.sample({{"root", store.root}, {"store", store.name}}, 1);
    metrics::add_process(page, "export-httpd", version_);
    return page;
}

}  // namespace export_worker::http_shim
