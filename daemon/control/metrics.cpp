#include "daemon/control/metrics.hpp"

#include <algorithm>
#include <map>

#include "base/metrics/page.hpp"
namespace export_worker::control {
namespace {

using metrics::Kind;
using metrics::Page;

void add_requests(Page& page, const model::LedgerCounts& counts) {
    page.family("export_worker_requests_accepted_total", "Requests that arrived on the data socket",
                Kind::kCounter);
    page.sample({}, static_cast<double>(counts.accepted));
    page.family("export_worker_requests_total",
                "Requests by what became of them; their sum and those in flight are the accepted",
                Kind::kCounter);
    page.sample({{"outcome", "replied"}}, static_cast<double>(counts.replied));
    page.sample({{"outcome", "error_replied"}}, static_cast<double>(counts.error_replied));
    page.sample({{"outcome", "client_gone"}}, static_cast<double>(counts.client_gone));
    page.family("export_worker_requests_in_flight", "Accepted and not answered yet", Kind::kGauge);
    page.sample({}, static_cast<double>(counts.in_flight));
    page.family("export_worker_requests_refused_total",
                "Error replies the server itself gave, by reason", Kind::kCounter);
    page.sample({{"reason", "overloaded"}}, static_cast<double>(counts.overloaded));
    page.sample({{"reason", "expired"}}, static_cast<double>(counts.expired));
}

void add_hops(Page& page, const model::Hops& hops) {
    const auto one = [&](const char* name, const char* help, const metrics::Histogram& histogram) {
        page.family(name, help, Kind::kHistogram);
        page.sample({}, histogram);
    };
    one("export_worker_request_queue_seconds", "From arrival until work on the request starts",
        hops.queued);
    one("export_worker_request_handling_seconds", "In a plugin or a method of the daemon's own",
        hops.handled);
    one("export_worker_request_seconds", "From arrival until the reply is handed to the socket",
        hops.total);
}

void add_plugins(Page& page, plugins::PluginHost& host) {
    const auto plugins = host.list();
    page.family("export_worker_plugin_info", "Version that answers now", Kind::kGauge);
    for (const auto& plugin : plugins) {
        page.sample(
            {{"plugin", plugin.name}, {"version", plugin.version}, {"build_id", plugin.build_id}},
            1);
    }
    page.family("export_worker_plugin_generation", "Number of the generation that answers",
                Kind::kGauge);
    for (const auto& plugin : plugins)
        page.sample({{"plugin", plugin.name}}, static_cast<double>(plugin.generation));
    page.family("export_worker_plugin_images", "Generations in memory, by state", Kind::kGauge);
    for (const auto& plugin : plugins) {
        for (const char* state :
             {"active", "baking", "warm", "draining", "stuck", "parked", "lingering"}) {
            const auto count =
                std::ranges::count(plugin.generations, state, &plugins::GenerationStatus::state);
            page.sample({{"plugin", plugin.name}, {"state", state}}, static_cast<double>(count));
        }
    }
    page.family("export_worker_plugin_requests_total", "Requests handled by a plugin",
                Kind::kCounter);
    for (const auto& plugin : plugins)
        page.sample({{"plugin", plugin.name}}, static_cast<double>(plugin.handled));
    page.family("export_worker_plugin_faults_total",
                "Requests in which a plugin broke its contract", Kind::kCounter);
    for (const auto& plugin : plugins)
        page.sample({{"plugin", plugin.name}}, static_cast<double>(plugin.faults));
    page.family("export_worker_plugin_events_total", "Counters a plugin has registered",
                Kind::kCounter);
    for (const auto& plugin : plugins) {
        for (const auto& counter : plugin.counters) {
            page.sample({{"plugin", plugin.name}, {"counter", counter.name}},
                        static_cast<double>(counter.value));
        }
    }
    page.family("export_worker_plugin_reloads_total",
                "Ends of reloads; refused_CODE tells the refused apart", Kind::kCounter);
    std::map<std::string, std::uint64_t> reloads = host.reload_counts();
    for (const char* outcome : {"committed", "rolled_back", "refused", "unchanged"})
        reloads.try_emplace(outcome, 0);
    for (const auto& [outcome, count] : reloads)
        page.sample({{"outcome", outcome}}, static_cast<double>(count));
}

// Of each plugin, zero too: an alert on it must find a value.
void add_stuck_requests(Page& page, const std::vector<plugins::PluginStatus>& plugins,
                        const std::vector<server::StuckRequests>& stuck) {
    page.family("export_worker_plugin_requests_stuck",
                "Requests past their deadline that have not returned from a plugin", Kind::kGauge);
    for (const auto& plugin : plugins) {
        unsigned count = 0;
        for (const server::StuckRequests& each : stuck) {
            if (each.plugin == plugin.name) count += each.count;
        }
        page.sample({{"plugin", plugin.name}}, count);
    }
}

void add_alarms(Page& page, const ControlDeps& deps) {
    const std::vector<model::Alarm> alarms = deps.alarms.read();
    page.family("export_worker_alarms", "Alarms that are raised now", Kind::kGauge);
    page.sample({}, static_cast<double>(alarms.size()));
    page.family("export_worker_alarm", "Alarms that are raised now, by name", Kind::kGauge);
    for (const std::string_view name : model::kAlarmNames) {
        page.sample({{"name", std::string(name)}},
                    static_cast<double>(std::ranges::count(alarms, name, &model::Alarm::name)));
    }
}

}  // namespace

Result<Page> metrics_page(const ControlDeps& deps) {
    EW_TRY(const jobs::JobCounts counts, deps.jobs.reader().counts());
    Page page;
    add_requests(page, deps.ledger.read());
    add_hops(page, deps.ledger.hops);
    page.family("export_worker_workers_stalled", "Workers inside one request for over a second",
                Kind::kGauge);
    page.sample({}, deps.data_server.stalled_workers());
    page.family("export_worker_jobs", "Jobs by status", Kind::kGauge);
    page.sample({{"status", "pending"}}, static_cast<double>(counts.pending));
    page.sample({{"status", "in_progress"}}, static_cast<double>(counts.in_progress));
    page.sample({{"status", "completed"}}, static_cast<double>(counts.completed));
    page.sample({{"status", "failed"}}, static_cast<double>(counts.failed));
    page.sample({{"status", "cancelled"}}, static_cast<double>(counts.cancelled));
    page.family("export_worker_jobs_oldest_wait_seconds",
                "How long the longest waiting job could have run already", Kind::kGauge);
    page.sample({}, counts.oldest_due_us == 0
                        ? 0
                        : static_cast<double>(deps.clock.unix_us() - counts.oldest_due_us) / 1e6);
    page.family("export_worker_job_writes_fenced_total",
                "Writes refused because the worker had lost its job", Kind::kCounter);
    page.sample({}, static_cast<double>(counts.fenced));
    page.family("export_worker_notices_pending", "Notices not delivered yet", Kind::kGauge);
    page.sample({}, static_cast<double>(counts.notices_pending));
    const auto stores = deps.credential_states();
    page.family("export_worker_store_credentials_usable", "1: links to the store can be signed now",
                Kind::kGauge);
    for (const auto& store : stores) page.sample({{"store", store.store}}, store.usable ? 1 : 0);
    page.family("export_worker_store_credentials_expiry_seconds",
                "When the store's credentials end, in seconds since 1970; stores without an end "
                "are left out",
                Kind::kGauge);
    for (const auto& store : stores) {
        if (store.expires_unix_us != 0)
            page.sample({{"store", store.store}}, static_cast<double>(store.expires_unix_us) / 1e6);
    }
    add_plugins(page, deps.plugins);
    add_stuck_requests(page, deps.plugins.list(), deps.data_server.stuck_requests());
    add_alarms(page, deps);
    deps.add_metrics(page);
    metrics::add_process(page, "export-workerd", deps.version);
    return page;
}

}  // namespace export_worker::control
