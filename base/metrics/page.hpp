// A page of metrics in the Prometheus text format, and a port that serves one.
//
// Names follow the Prometheus conventions: base units, _total for counters, few label values.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/metrics/histogram.hpp"
#include "base/result.hpp"

namespace export_worker::metrics {

enum class Kind { kCounter, kGauge, kHistogram };
using Labels = std::vector<std::pair<std::string, std::string>>;

// [one-owner]
class Page {
public:
    Page();
    Page(Page&&) noexcept;
    ~Page();

    void family(const std::string& name, const std::string& help, Kind kind);
    // One more sample of the family begun last.
    void sample(const Labels& labels, double value);
    void sample(const Labels& labels, const Histogram& histogram);
    [[nodiscard]] std::string text() const;

private:
    friend class MetricsServer;
    struct Families;
    std::unique_ptr<Families> families_;
};

// Answers GET /metrics on an address of its own.
class MetricsServer {
public:
    // `page` is called for every scrape, on the server's threads. `listen`: ADDRESS:PORT, port 0:
    // any free one. Errors: kUnavailable when the address cannot be listened on.
    [[nodiscard]] static Result<std::unique_ptr<MetricsServer>> open(const std::string& listen,
                                                                     std::function<Page()> page);
    ~MetricsServer();
    [[nodiscard]] int port() const;

private:
    struct State;
    explicit MetricsServer(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

// What every program says of itself: version, memory, descriptors, processor time. /proc/self.
void add_process(Page& page, const std::string& program, const std::string& version);

}  // namespace export_worker::metrics
