// The job registry in PostgreSQL: lookups of files and submissions, as many threads as there are
// waiting callers: bench_registry CONNINFO [SCHEMA] [SECONDS]
//
// Fills an empty schema with kFiles finished exports. Prints for each number of callers the rate
// and the latency, without and with the files in memory; then the rate of submissions. Needs the
// right to set session_replication_role.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "daemon/jobs/postgres/postgres_job_store.hpp"
#include "daemon/postgres/connection.hpp"

namespace {

using namespace export_worker;
using Steady = std::chrono::steady_clock;

constexpr int kFiles = 100'000;

[[noreturn]] void stop(const Error& error) {
    std::fprintf(stderr, "%s\n", error.message.c_str());
    std::exit(1);
}

template <typename T>
T need(Result<T> result) {
    if (!result) stop(result.error());
    return std::move(*result);
}

std::string id_of(int number) {
    char out[37];
    std::snprintf(out, sizeof out, "019c1f0e-7c00-7a5b-9d3e-%012x", static_cast<unsigned>(number));
    return out;
}

// A daemon as the registry sees it.
struct Joined {
    std::unique_ptr<cluster::Membership> membership;
    std::unique_ptr<jobs::JobStore> store;
};

Joined open(const std::string& conninfo, const std::string& schema, std::size_t lookup_cache) {
    jobs::PostgresStoreOptions options;
    options.database.connect.conninfo = conninfo;
    options.database.connect.schema = schema;
    options.lookup_cache = lookup_cache;
    Joined out;
    out.membership = need(cluster::Membership::join(
        {.database = options.database, .name = "bench", .version = "bench"}, system_clock()));
    out.store =
        need(jobs::open_postgres_job_store(options, *out.membership, system_clock(),
                                           {.organization_running_max = 10, .version = "bench"}));
    return out;
}

void fill(const std::string& conninfo, const std::string& schema) {
    postgres::ConnectOptions options;
    options.conninfo = conninfo;
    options.schema = schema;
    const auto connection = need(postgres::Connection::open(options));
    if (!need(connection->query("SELECT 1 FROM job LIMIT 1")).empty()) return;
    const std::string sql =
        "SET session_replication_role = replica;"
        "SET statement_timeout = 0;"
        "INSERT INTO job (job_id, organization_id, job_type, runner, status, attempts_max, "
        "priority, "
        "due_at, created_at, completed_at, spec, metadata, total_items, file_url, filename, "
        "content_type, sha256) SELECT '019c1f0e-7c00-7a5b-9d3e-' || lpad(to_hex(n), 12, '0'), "
        "'organization-' || n % 1000, 'BULK_EXPORT', 'daemon', 'completed', 3, 1, now(), now(), "
        "now(), '{}', repeat('x', 600), 1000, 's3://exports/organization-' || n % 1000 || '/' || "
        "md5(n::text) || '.1-0a1b2c3d.csv', 'products-2026-06-01.csv', 'text/csv', "
        "repeat(md5(n::text), 2) FROM generate_series(0, " +
        std::to_string(kFiles - 1) +
        ") AS n;"
        "RESET session_replication_role; ANALYZE job";
    const auto filled = connection->execute(sql, std::chrono::minutes(5));
    if (!filled) stop(filled.error());
}

void look_up(jobs::JobStore& store, const char* name, int callers, std::chrono::seconds length) {
    std::vector<std::vector<float>> latencies_us(static_cast<std::size_t>(callers));
    std::atomic<bool> over{false};
    std::vector<std::thread> threads;
    threads.reserve(static_cast<std::size_t>(callers));
    const auto began = Steady::now();
    for (int caller = 0; caller < callers; ++caller) {
        threads.emplace_back([&, caller] {
            std::mt19937 random(static_cast<unsigned>(caller));
            std::uniform_int_distribution<int> number(0, kFiles - 1);
            model::JobFile file;
            auto& mine = latencies_us[static_cast<std::size_t>(caller)];
            while (!over) {
                const std::string id = id_of(number(random));
                const auto sent = Steady::now();
                const auto found =
                    store.reader().find_file(model::OrganizationScope::every(), id, file);
                if (!found) stop(found.error());
                mine.push_back(
                    std::chrono::duration<float, std::micro>(Steady::now() - sent).count());
            }
        });
    }
    std::this_thread::sleep_for(length);
    over = true;
    for (auto& thread : threads) thread.join();
    const double seconds = std::chrono::duration<double>(Steady::now() - began).count();
    std::vector<float> all;
    for (const auto& mine : latencies_us) all.insert(all.end(), mine.begin(), mine.end());
    std::ranges::sort(all);
    std::printf("lookups %-9s %3d callers  %8.0f/s  p50 %7.0f us  p99 %7.0f us\n", name, callers,
                static_cast<double>(all.size()) / seconds, all[all.size() / 2],
                all[all.size() * 99 / 100]);
}

// One caller begins `waiting` of them and then waits for all, as the daemon's commit workers do.
void submit(jobs::JobStore& store, std::size_t waiting, std::chrono::seconds length) {
    std::size_t submitted = 0;
    std::vector<float> latencies_us;
    const auto began = Steady::now();
    while (Steady::now() - began < length) {
        const auto sent = Steady::now();
        std::vector<jobs::Pending<jobs::CreatedJob>> pending;
        for (std::size_t count = 0; count < waiting; ++count) {
            jobs::NewJob job;
            job.organization_id = "organization-" + std::to_string(count % 20);
            job.job_type = model::kExportJobType;
            job.spec_json = R"({"format": "csv"})";
            pending.push_back(need(store.requests().begin_create(std::move(job))));
        }
        for (const auto& each : pending) (void)need(each());
        submitted += waiting;
        latencies_us.push_back(
            std::chrono::duration<float, std::micro>(Steady::now() - sent).count());
    }
    const double seconds = std::chrono::duration<double>(Steady::now() - began).count();
    std::ranges::sort(latencies_us);
    std::printf("submissions %8zu waiting  %8.0f/s  p50 %7.0f us  p99 %7.0f us\n", waiting,
                static_cast<double>(submitted) / seconds, latencies_us[latencies_us.size() / 2],
                latencies_us[latencies_us.size() * 99 / 100]);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: bench_registry CONNINFO [SCHEMA] [SECONDS]\n");
        return 64;
    }
    const std::string schema = argc > 2 ? argv[2] : "bench_registry";
    const std::chrono::seconds length(argc > 3 ? std::atoi(argv[3]) : 3);
    {
        const Joined joined = open(argv[1], schema, 0);
        fill(argv[1], schema);
        for (const int callers : {1, 8, 32}) look_up(*joined.store, "uncached", callers, length);
    }
    {
        const Joined joined = open(argv[1], schema, limits::kFileCacheEntriesDefault);
        model::JobFile file;
        for (int number = 0; number < kFiles; ++number) {
            const auto found = joined.store->reader().find_file(model::OrganizationScope::every(),
                                                                id_of(number), file);
            if (!found) stop(found.error());
        }
        for (const int callers : {1, 8, 32}) look_up(*joined.store, "cached", callers, length);
        for (const std::size_t waiting : {1U, 32U, 256U}) submit(*joined.store, waiting, length);
    }
    return 0;
}
