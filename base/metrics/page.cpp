#include "base/metrics/page.hpp"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace export_worker::metrics {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

struct Page::Families {
    std::vector<MetricFamily> all;

    ClientMetric& add(const Labels& labels) {
        ClientMetric metric;
        for (const auto& [name, value] : labels) metric.label.push_back({name, value});
        all.back().metric.push_back(std::move(metric));
        return all.back().metric.back();
    }
};

Page::Page() : families_(std::make_unique<Families>()) {}
Page::Page(Page&&) noexcept = default;
Page::~Page() = default;

void Page::family(const std::string& name, const std::string& help, Kind kind) {
    const MetricType type = kind == Kind::kCounter ? MetricType::Counter
                            : kind == Kind::kGauge ? MetricType::Gauge
                                                   : MetricType::Histogram;
    families_->all.push_back({name, help, type, {}});
}

void Page::sample(const Labels& labels, double value) {
    ClientMetric& metric = families_->add(labels);
    if (families_->all.back().type == MetricType::Counter) {
        metric.counter.value = value;
    } else {
        metric.gauge.value = value;
    }
}

void Page::sample(const Labels& labels, const Histogram& histogram) {
    ClientMetric::Histogram& out = families_->add(labels).histogram;
    std::uint64_t count = 0;
    const std::span<const double> bounds = histogram.bounds();
    for (std::size_t index = 0; index < bounds.size(); ++index) {
        count += histogram.bucket(index);
        ClientMetric::Bucket bucket;
        bucket.cumulative_count = count;
        bucket.upper_bound = bounds[index];
        out.bucket.push_back(bucket);
    }
    out.sample_count = count + histogram.bucket(bounds.size());
    out.sample_sum = histogram.sum_seconds();
}

std::string Page::text() const {
    return prometheus::TextSerializer().Serialize(families_->all);
}

namespace {

class Source final : public prometheus::Collectable {
public:
    using Collect_ = std::function<std::vector<MetricFamily>()>;
    explicit Source(Collect_ collect) : collect_(std::move(collect)) {}
    std::vector<MetricFamily> Collect() const override { return collect_(); }

private:
    const Collect_ collect_;
};

}  // namespace

struct MetricsServer::State {
    std::shared_ptr<Source> source;
    std::unique_ptr<prometheus::Exposer> exposer;
};

Result<std::unique_ptr<MetricsServer>> MetricsServer::open(const std::string& listen,
                                                           std::function<Page()> page) {
    auto state = std::make_unique<State>();
    state->source = std::make_shared<Source>(
        [page = std::move(page)] { return std::move(page().families_->all); });
    try {
        state->exposer = std::make_unique<prometheus::Exposer>(listen, 1);
        state->exposer->RegisterCollectable(state->source);
    } catch (const std::exception& error) {
        return fail(ErrorCode::kUnavailable, "metrics: listen on " + listen + ": " + error.what());
    }
    return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(state)));
}

MetricsServer::MetricsServer(std::unique_ptr<State> state) : state_(std::move(state)) {}
MetricsServer::~MetricsServer() = default;

int MetricsServer::port() const {
    return state_->exposer->GetListeningPorts().at(0);
}

namespace {

double seconds_of(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

// In seconds since 1970; proc(5): field 22 of stat counts clock ticks since the boot.
double start_time_s() {
    std::ifstream file("/proc/self/stat");
    std::string line;
    std::getline(file, line);
    // The name, field 2, may hold anything; the last ')' ends it.
    std::istringstream rest(line.substr(line.rfind(')') + 1));
    std::string field;
    for (int number = 3; number <= 22; ++number) rest >> field;
    const double after_boot =
        std::strtod(field.c_str(), nullptr) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    return seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME) + after_boot;
}

}  // namespace

void add_process(Page& page, const std::string& program, const std::string& version) {
    page.family("export_worker_build_info", "What runs", Kind::kGauge);
    page.sample({{"program", program}, {"version", version}}, 1);
    std::ifstream statm("/proc/self/statm");
    double pages = 0;
    double resident = 0;
    statm >> pages >> resident;
    page.family("process_resident_memory_bytes", "Resident memory", Kind::kGauge);
    page.sample({}, resident * static_cast<double>(::sysconf(_SC_PAGESIZE)));
    std::error_code error;
    double descriptors = 0;
    for (std::filesystem::directory_iterator entry("/proc/self/fd", error), end; entry != end;
         entry.increment(error))
        ++descriptors;
    page.family("process_open_fds", "Open file descriptors", Kind::kGauge);
    page.sample({}, descriptors);
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    page.family("process_max_fds", "How many file descriptors may be open", Kind::kGauge);
    page.sample({}, static_cast<double>(limit.rlim_cur));
    page.family("process_start_time_seconds", "When the process began, in seconds since 1970",
                Kind::kGauge);
    page.sample({}, start_time_s());
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
    };
    page.family("process_cpu_seconds_total", "Processor time, user and system", Kind::kCounter);
    page.sample({}, seconds(usage.ru_utime) + seconds(usage.ru_stime));
}

}  // namespace export_worker::metrics
