#include "daemon/control/metrics.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

namespace export_worker::control {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

class Page {
public:
    void family(const std::string& name, const std::string& help, MetricType type) {
        families_.push_back({name, help, type, {}});
    }
    // One more sample of the family begun last.
    void sample(Labels labels, double value) {
        ClientMetric metric;
        metric.label = std::move(labels);
        if (families_.back().type == MetricType::Counter) {
            metric.counter.value = value;
        } else {
            metric.gauge.value = value;
        }
        families_.back().metric.push_back(std::move(metric));
    }
    [[nodiscard]] std::string text() const {
        return prometheus::TextSerializer().Serialize(families_);
    }

private:
    std::vector<MetricFamily> families_;
};

void add_requests(Page& page, const model::LedgerCounts& counts) {
    page.family("export_worker_requests_accepted_total", "Requests that arrived on the data socket",
                MetricType::Counter);
    page.sample({}, static_cast<double>(counts.accepted));
    page.family("export_worker_requests_total",
                "Requests by what became of them; their sum and those in flight are the accepted",
                MetricType::Counter);
    page.sample({{"outcome", "replied"}}, static_cast<double>(counts.replied));
    page.sample({{"outcome", "error_replied"}}, static_cast<double>(counts.error_replied));
    page.sample({{"outcome", "client_gone"}}, static_cast<double>(counts.client_gone));
    page.family("export_worker_requests_in_flight", "Accepted and not answered yet",
                MetricType::Gauge);
    page.sample({}, static_cast<double>(counts.in_flight));
    page.family("export_worker_requests_refused_total",
                "Error replies the server itself gave, by reason", MetricType::Counter);
    page.sample({{"reason", "overloaded"}}, static_cast<double>(counts.overloaded));
    page.sample({{"reason", "expired"}}, static_cast<double>(counts.expired));
}

void add_plugins(Page& page, plugin_host::PluginHost& host) {
    const auto plugins = host.list();
    page.family("export_worker_plugin_info", "What answers now", MetricType::Gauge);
    for (const auto& plugin : plugins) {
        page.sample(
            {{"plugin", plugin.name}, {"version", plugin.version}, {"build_id", plugin.build_id}},
            1);
    }
    page.family("export_worker_plugin_generation", "Number of the generation that answers",
                MetricType::Gauge);
    for (const auto& plugin : plugins)
        page.sample({{"plugin", plugin.name}}, static_cast<double>(plugin.generation));
    page.family("export_worker_plugin_images", "Generations in memory, by state",
                MetricType::Gauge);
    for (const auto& plugin : plugins) {
        for (const char* state :
             {"active", "baking", "warm", "draining", "stuck", "parked", "lingering"}) {
            const auto count = std::ranges::count(plugin.generations, state,
                                                  &plugin_host::GenerationStatus::state);
            page.sample({{"plugin", plugin.name}, {"state", state}}, static_cast<double>(count));
        }
    }
    page.family("export_worker_plugin_requests_total", "Requests handled by a plugin",
                MetricType::Counter);
    for (const auto& plugin : plugins)
        page.sample({{"plugin", plugin.name}}, static_cast<double>(plugin.handled));
    page.family("export_worker_plugin_faults_total",
                "Requests in which a plugin broke its contract", MetricType::Counter);
    for (const auto& plugin : plugins)
        page.sample({{"plugin", plugin.name}}, static_cast<double>(plugin.faults));
    page.family("export_worker_plugin_counter_total", "Counters a plugin has registered",
                MetricType::Counter);
    for (const auto& plugin : plugins) {
        for (const auto& counter : plugin.counters) {
            page.sample({{"plugin", plugin.name}, {"counter", counter.name}},
                        static_cast<double>(counter.value));
        }
    }
    page.family("export_worker_plugin_reloads_total",
                "Ends of reloads; refused_CODE tells the refused apart", MetricType::Counter);
    for (const auto& [outcome, count] : host.reload_counts())
        page.sample({{"outcome", outcome}}, static_cast<double>(count));
    page.family("export_worker_alarms", "Things somebody should look at", MetricType::Gauge);
    page.sample({}, static_cast<double>(host.alarms().size()));
}

}  // namespace

Result<std::string> metrics_text(const ControlParts& parts) {
    EW_TRY(const jobs::JobCounts counts, parts.jobs.counts());
    Page page;
    add_requests(page, parts.ledger.read());
    page.family("export_worker_workers_stalled", "Workers inside one request for over a second",
                MetricType::Gauge);
    page.sample({}, parts.data_server.stalled_workers());
    page.family("export_worker_jobs", "Jobs by status", MetricType::Gauge);
    page.sample({{"status", "pending"}}, static_cast<double>(counts.pending));
    page.sample({{"status", "in_progress"}}, static_cast<double>(counts.in_progress));
    page.sample({{"status", "completed"}}, static_cast<double>(counts.completed));
    page.sample({{"status", "failed"}}, static_cast<double>(counts.failed));
    page.sample({{"status", "cancelled"}}, static_cast<double>(counts.cancelled));
    page.family("export_worker_jobs_oldest_wait_seconds",
                "How long the longest waiting job could have run already", MetricType::Gauge);
    page.sample({}, counts.oldest_due_us == 0
                        ? 0
                        : static_cast<double>(parts.clock.unix_us() - counts.oldest_due_us) / 1e6);
    page.family("export_worker_job_writes_fenced_total",
                "Writes refused because the worker had lost its job", MetricType::Counter);
    page.sample({}, static_cast<double>(counts.fenced));
    page.family("export_worker_notices_pending", "Notices not delivered yet", MetricType::Gauge);
    page.sample({}, static_cast<double>(counts.notices_pending));
    const auto stores = parts.credential_states();
    page.family("export_worker_store_credentials_usable", "1: links to the store can be signed now",
                MetricType::Gauge);
    for (const auto& store : stores) page.sample({{"store", store.store}}, store.usable ? 1 : 0);
    page.family("export_worker_store_credentials_expiry_seconds",
                "When the store's credentials end, in seconds since 1970; stores without an end "
                "are left out",
                MetricType::Gauge);
    for (const auto& store : stores) {
        if (store.expires_unix_us != 0)
            page.sample({{"store", store.store}}, static_cast<double>(store.expires_unix_us) / 1e6);
    }
    add_plugins(page, parts.plugins);
    return page.text();
}

}  // namespace export_worker::control
