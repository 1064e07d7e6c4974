#include "daemon/app/daemon.hpp"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>

#include "base/assert.hpp"
#include "base/clock.hpp"
#include "base/file_lock.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "base/metrics/page.hpp"
#include "base/options/config_keys.hpp"
#include "base/process.hpp"
#include "base/service_manager/notify.hpp"
#include "base/socket_address.hpp"
#include "daemon/app/alarms.hpp"
#include "daemon/app/databases.hpp"
#include "daemon/app/first_start.hpp"
#include "daemon/app/host_config.hpp"
#include "daemon/app/link_lifetime.hpp"
#include "daemon/app/part_metrics.hpp"
#include "daemon/app/record_download.hpp"
#include "daemon/app/restore_state.hpp"
#include "daemon/app/upload_store.hpp"
#include "daemon/auth/auth_feed.hpp"
#include "daemon/auth/authenticator.hpp"
#include "daemon/auth/key_store.hpp"
#include "daemon/auth/member_store.hpp"
#include "daemon/control/control_server.hpp"
#include "daemon/control/metrics.hpp"
#include "daemon/credentials/credential_store.hpp"
#include "daemon/export/export_service.hpp"
#include "daemon/export/export_workers.hpp"
#include "daemon/export/sweeper.hpp"
#include "daemon/jobs/event_recorder.hpp"
#include "daemon/jobs/housekeeper.hpp"
#include "daemon/notices/notifier.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"
#include "daemon/server/data_server.hpp"
#include "daemon/server/dispatcher.hpp"
#include "protocol/transport/server_socket.hpp"

namespace export_worker::app {
namespace {

// The roles of the configuration; without a file they give nothing.
Result<auth::RolePolicy> read_roles(const config::Config& config) {
    if (config.auth.roles_file.empty()) return auth::RolePolicy();
    return auth::RolePolicy::read(config.auth.roles_file);
}

// Before version 0.2 the directory of the kept plugin files was spelt another way.
Result<void> rename_old_artifacts(const std::string& state_dir) {
    const std::string old = state_dir + "/plugins/artefacts";
    const std::string now = state_dir + "/plugins/artifacts";
    if (::rename(old.c_str(), now.c_str()) != 0 && errno != ENOENT)
        return fail(errno_error("rename " + old + " to " + now, errno));
    return {};
}

// Where others may write, they may put their own socket, plugin or file in place of ours.
Result<void> check_state_dir(const std::string& state_dir) {
    EW_CHECK(make_directories(state_dir, 0750));
    EW_CHECK(check_trusted_file(state_dir));
    EW_CHECK(rename_old_artifacts(state_dir));
    for (const char* name : {"/run", "/tmp", "/plugins", "/plugins/artifacts", "/plugins/live"}) {
        auto checked = check_trusted_file(state_dir + name);
        if (!checked && checked.error().code != ErrorCode::kNotFound) return checked;
    }
    return {};
}

// systemd is told by the loop that serves, twice as often as it expects.
server::Watchdog watchdog() {
    const auto timeout = service_manager::watchdog_timeout();
    if (!timeout) return {};
    return {*timeout / 2, [] { service_manager::notify_alive(); }};
}

void say_what_waits(const config::Config& running, const config::Config& read) {
    auto keys =
        options::waiting_for_restart(options::Program::kDaemon, running.values, read.values,
                                     running.exports.workers > 0 ? running.exports.store : "");
    // Without [export] store it is the first local store, which may be another one now.
    if (running.exports.store != read.exports.store &&
        std::ranges::find(keys, "[export] store") == keys.end())
        keys.emplace_back("[export] store");
    for (const std::string& key : keys)
        log_warn("configuration: {} has changed; that needs a restart", key);
}

// Long before it serves: an address in use must not be found after all plugins are loaded.
Result<void> check_metrics_address(const std::string& address) {
    if (address.empty()) return {};
    const auto bound = try_bind(address);
    if (bound) return {};
    return fail(bound.error().code, "[daemon] metrics_listen: " + bound.error().message);
}

// Exports go on to where they went, so links lead there, too.
void keep_export_store(const config::Config& started_with,
                       const std::vector<model::StoreSettings>& running, config::Config& read) {
    const std::string name = options::export_store_of(started_with.values);
    const auto kept = std::ranges::find(running, name, &model::StoreSettings::name);
    if (kept == running.end() || !options::has_moved(started_with.values, read.values, name))
        return;
    std::erase_if(read.stores, [&](const auto& store) { return store.name == name; });
    read.stores.push_back(*kept);
    std::ranges::sort(read.stores, {}, &model::StoreSettings::name);
    log_warn("configuration: [store.{}] stays as it was until a restart: exports go there", name);
}

// Links that work now would lead nowhere.
Result<void> check_roots(const std::vector<model::StoreSettings>& running,
                         const std::vector<model::StoreSettings>& read) {
    for (const model::StoreSettings& store : read) {
        if (store.kind != "local") continue;
        const auto before = std::ranges::find(running, store.name, &model::StoreSettings::name);
        const std::string& root = store.values.at("root");
        const bool is_moved =
            before != running.end() && before->kind == "local" && before->values.at("root") != root;
        const auto checked = check_directory(root, is_moved);
        if (!checked)
            return fail(checked.error().code,
                        "[store." + store.name + "] root: " + checked.error().message);
    }
    return {};
}

}  // namespace

// Members are destroyed from the last to the first.
struct Daemon::Parts {
    explicit Parts(FileLock held) : lock(std::move(held)) {}

    FileLock lock;
    control::AlarmList alarms{system_clock()};
    std::atomic<std::int64_t> configured_us{system_clock().unix_us()};
    std::mutex refused_mutex;
    std::string refused_configuration;  // Why the last one was. Guarded by refused_mutex.
    config::Config started_with;
    std::vector<model::StoreSettings> stores;  // As last read.
    model::Ledger ledger;
    std::shared_ptr<credentials::CredentialStore> credentials;
    std::optional<CurrentCredentials> current_credentials;
    std::atomic<bool> uploads_stopping{false};
    Databases databases;
    std::unique_ptr<auth::KeyStore> keys;
    std::unique_ptr<auth::MemberStore> members;
    std::unique_ptr<auth::AuthFeed> auth_feed;
    std::unique_ptr<auth::SessionVerifier> sessions;
    std::unique_ptr<files::FileStore> files;
    std::optional<jobs::EventRecorder> events;
    std::unique_ptr<notices::Notifier> notifier;
    std::optional<exports::ExportDeps> export_deps;
    std::optional<jobs::Housekeeper> housekeeper;
    std::optional<exports::Sweeper> sweeper;  // None: there is no file to delete.
    std::optional<exports::ExportWorkers> export_workers;
    std::optional<exports::ExportService> export_service;
    std::optional<auth::Authenticator> authenticator;
    std::optional<transport::ServerSocket> data_socket;  // Until they serve.
    std::optional<transport::ServerSocket> control_socket;
    std::unique_ptr<plugins::PluginHost> plugins;
    std::optional<server::Dispatcher> dispatcher;
    std::unique_ptr<server::DataServer> data_server;
    std::optional<control::BackupStore> backups;
    std::optional<control::SentFiles> sent_files;
    control::LongTask task;  // Uses everything above.
    std::unique_ptr<control::ControlServer> control_server;
    std::unique_ptr<metrics::MetricsServer> metrics_server;

    [[nodiscard]] Result<void> open_identity(const config::Config& config);
    [[nodiscard]] Result<void> open_stores(const config::Config& config);
    [[nodiscard]] Result<void> open_files(const config::Config& config);
    [[nodiscard]] Result<void> open_exports(const config::Config& config,
                                            const std::string& version);
    [[nodiscard]] Result<void> open_notices(const config::Config& config);
    [[nodiscard]] Result<void> open_sockets(const config::Config& config);
    [[nodiscard]] Result<void> load_plugins(const config::Config& config,
                                            const std::function<bool()>& is_cancelled);
    [[nodiscard]] Result<void> serve(const config::Config& config, const std::string& version);
    [[nodiscard]] MonitoredDeps monitored(const config::Config& config);
    [[nodiscard]] MarkedStore marked_store() const;
};

// Exports go on to where they went, whatever a SIGHUP has read since.
MarkedStore Daemon::Parts::marked_store() const {
    return {options::export_store_of(started_with.values), databases.jobs->reader().registry_id()};
}

Result<void> Daemon::Parts::open_stores(const config::Config& config) {
    EW_TRY(credentials, credentials::CredentialStore::load(config.stores));
    credentials->start();
    current_credentials.emplace(credentials);
    EW_CHECK(databases.jobs->files().set_link_lifetime(longest_link_lifetime(config.stores)));
    events.emplace(databases.jobs->accesses());
    return {};
}

Result<void> Daemon::Parts::open_identity(const config::Config& config) {
    EW_TRY(auth::RolePolicy roles, read_roles(config));
    EW_TRY(keys, auth::KeyStore::open(databases.auth->keys(), system_clock()));
    EW_TRY(members, auth::MemberStore::open(databases.auth->members(), databases.auth->sessions(),
                                            system_clock()));
    EW_TRY(auth_feed, auth::AuthFeed::open(*databases.auth, *keys, *members));
    EW_TRY(sessions, auth::SessionVerifier::open(config.auth, *members, system_clock()));
    std::function<bool()> may_answer;  // A database of this daemon alone: always.
    if (databases.membership) may_answer = [this] { return databases.auth->is_current(); };
    authenticator.emplace(*keys, *members, *sessions, std::move(roles), std::move(may_answer));
    return {};
}

// A daemon that runs no exports opens the store only for what it published before.
Result<void> Daemon::Parts::open_files(const config::Config& config) {
    if (config.exports.workers == 0) {
        EW_TRY(const bool any, databases.jobs->files().has_files());
        if (!any) return {};
    }
    auto opened =
        open_export_store(config, *current_credentials, *databases.jobs, uploads_stopping);
    if (!opened && config.exports.workers == 0) {
        log_warn("expired files stay where they are: {}", opened.error().message);
        return {};
    }
    EW_TRY(files, std::move(opened));
    return {};
}

Result<void> Daemon::Parts::open_exports(const config::Config& config, const std::string& version) {
    const config::ExportConfig& of = config.exports;
    housekeeper.emplace(databases.jobs->retention(), databases.jobs->queue(), system_clock(),
                        jobs::RetentionPolicy{of.file_retention, of.job_retention},
                        databases.standing());
    EW_CHECK(open_files(config));
    if (files) {
        const exports::ExportDeps& parts =
            export_deps.emplace(exports::ExportDeps{&system_clock(),
                                                    databases.jobs.get(),
                                                    &databases.catalog->reader(),
                                                    files.get(),
                                                    config.state_dir + "/tmp",
                                                    version,
                                                    {of.retry_base, of.retry_max, of.attempt_limit},
                                                    databases.standing()});
        EW_CHECK(exports::recover(parts));
        sweeper.emplace(parts, exports::SweepPolicy{of.sweep_interval, of.orphan_grace});
        if (of.workers > 0) export_workers.emplace(parts, of.stall_limit);
    } else {
        EW_CHECK(exports::rescue_jobs(databases.jobs->queue()));
    }
    std::function<void()> wake;
    if (export_workers) wake = [this] { export_workers->wake(); };
    export_service.emplace(databases.jobs->requests(), databases.catalog->reader(),
                           databases.catalog->templates(), config.exports.deadline,
                           std::move(wake));
    return {};
}

Result<void> Daemon::Parts::open_notices(const config::Config& config) {
    std::optional<transport::PublisherSocket> publisher;
    if (!config.notice_endpoint.empty()) {
        EW_TRY(publisher,
               transport::PublisherSocket::open(config.notice_endpoint, config.notice_socket_mode));
    }
    EW_TRY(notifier, notices::Notifier::open(system_clock(), databases.jobs->outbox(),
                                             config.webhooks, std::move(publisher)));
    return {};
}

// Both are bound before either serves: a start that fails has answered nobody. And before plugin
// code runs: libzmq loads a library of the system, for which a plugin that hangs inside dlopen
// would make it wait.
Result<void> Daemon::Parts::open_sockets(const config::Config& config) {
    EW_TRY(data_socket,
           transport::ServerSocket::open(config.data_endpoint, config.data_socket_mode));
    if (!config.tcp_endpoint.empty()) {
        EW_CHECK(
            data_socket->listen_on_tcp({config.tcp_endpoint, config.curve_key_file,
                                        config.curve_clients_file, config.tcp_connections_max}));
        log_info("data on {}", config.tcp_endpoint);
    }
    EW_TRY(control_socket,
           transport::ServerSocket::open(config.control_endpoint, config.control_socket_mode));
    return check_metrics_address(config.metrics_listen);
}

Result<void> Daemon::Parts::load_plugins(const config::Config& config,
                                         const std::function<bool()>& is_cancelled) {
    plugins::HostOptions options;
    options.state_directory = config.state_dir;
    options.deps = {&system_clock(),
                    &*authenticator,
                    &databases.jobs->reader(),
                    &databases.jobs->organizations(),
                    &*events,
                    credentials};
    options.ledger = &ledger;
    EW_TRY(plugins, plugins::PluginHost::open(options));
    return plugins->start(host_config_of(config, credentials, marked_store()), is_cancelled);
}

Result<void> Daemon::Parts::serve(const config::Config& config, const std::string& version) {
    dispatcher.emplace(server::DispatcherDeps{
        *authenticator,
        plugins->routing(),
        {databases.jobs->reader(), databases.jobs->requests(), *export_service},
        databases.jobs->organizations(),
        [this](std::string_view target) {
            return record_download(*current_credentials, *events, target);
        },
        [this] { return plugins->methods(); },
        [this](std::string_view method) { return plugins->left_out(method); },
        [this] { return alarms.names(); }});
    data_server =
        std::make_unique<server::DataServer>(std::move(*data_socket), *dispatcher, system_clock(),
                                             config.server_workers, ledger, watchdog());
    const control::ControlDeps control_parts{
        *databases.auth,
        *keys,
        *members,
        *databases.catalog,
        *databases.jobs,
        *plugins,
        *data_server,
        ledger,
        system_clock(),
        config.state_dir,
        version,
        config.data_endpoint,
        system_clock().unix_us(),
        [this] { return current_credentials->get()->states(); },
        alarms,
        [parts = monitored(config)](metrics::Page& page) { add_part_metrics(page, parts); },
        [this] { export_service->wake(); },
        *housekeeper,
        export_deps ? &*export_deps : nullptr,
        config.exports.orphan_grace,
        task,
        *backups,
        *sent_files,
        databases.membership.get(),
        [this](std::span<const std::string> roles) { return authenticator->check_roles(roles); }};
    control_server = std::make_unique<control::ControlServer>(std::move(*control_socket),
                                                              control_parts, *dispatcher);
    if (!config.metrics_listen.empty()) {
        EW_TRY(metrics_server, metrics::MetricsServer::open(config.metrics_listen, [control_parts] {
                   auto page = control::metrics_page(control_parts);
                   return page ? std::move(*page) : metrics::Page();
               }));
        log_info("metrics on port {}", metrics_server->port());
    }
    alarms.start([parts = monitored(config)] { return collect_alarms(parts); });
    return {};
}

MonitoredDeps Daemon::Parts::monitored(const config::Config& config) {
    std::vector<std::string> directories{config.state_dir};
    for (const model::StoreSettings& store : config.stores) {
        if (store.kind == "local") directories.push_back(store.values.at("root"));
    }
    return {config.state_dir,
            std::move(directories),
            *authenticator,
            *databases.auth,
            *sessions,
            *databases.jobs,
            *databases.catalog,
            *notifier,
            *housekeeper,
            sweeper ? &*sweeper : nullptr,
            export_workers ? &*export_workers : nullptr,
            files.get(),
            config.exports.store,
            databases.membership.get(),
            *plugins,
            *data_server,
            [this] { return current_credentials->get()->states(); },
            [this] {
                const std::lock_guard held(refused_mutex);
                return refused_configuration;
            },
            [this] { return configured_us.load(); }};
}

Daemon::Daemon(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Daemon::~Daemon() {
    const unsigned stuck_workers = stop();
    EW_ASSERT(stuck_workers == 0);
}

unsigned Daemon::stop() {
    // Operators can watch the drain: their socket closes after the data socket.
    parts_->sessions->stop();
    if (const unsigned stuck_workers = parts_->data_server->stop(); stuck_workers > 0) {
        parts_->plugins->record_stop();
        return stuck_workers;
    }
    parts_->alarms.stop();
    parts_->metrics_server.reset();
    if (parts_->control_server) {
        if (const unsigned stuck_calls = parts_->control_server->stop(); stuck_calls > 0) {
            parts_->plugins->record_stop();
            return stuck_calls;
        }
        parts_->control_server.reset();
    }
    parts_->uploads_stopping.store(true);
    if (parts_->export_workers) parts_->export_workers->stop();
    if (parts_->sweeper) parts_->sweeper->stop();
    parts_->housekeeper->stop();
    return parts_->plugins->stop();
}

Result<std::unique_ptr<Daemon>> Daemon::start(const config::Config& config,
                                              const std::string& version,
                                              const std::function<bool()>& is_cancelled) {
    EW_CHECK(raise_descriptor_limit(limits::kDescriptorsMin));
    forbid_core_files();
    EW_CHECK(check_state_dir(config.state_dir));
    EW_TRY(FileLock lock, FileLock::acquire(config.state_dir + "/lock"));
    EW_TRY(const FinishedRestore restored, finish_restore(config.state_dir, system_clock()));
    if (restored.was_staged)
        log_warn("a restore that was interrupted is finished; what was there before is in {}",
                 restored.before);
    EW_CHECK(begin_first_start(config));
    auto parts = std::make_unique<Parts>(std::move(lock));
    parts->started_with = config;
    parts->stores = config.stores;
    parts->backups.emplace(config.state_dir + "/backup", system_clock());
    parts->sent_files.emplace(config.state_dir + "/plugins/artifacts", system_clock());
    EW_TRY(parts->databases, open_databases(config, version));
    EW_CHECK(parts->open_identity(config));
    EW_CHECK(parts->open_stores(config));
    EW_CHECK(end_first_start(config.state_dir));
    EW_CHECK(parts->open_exports(config, version));
    EW_CHECK(parts->open_notices(config));
    EW_CHECK(parts->open_sockets(config));
    if (auto loaded = parts->load_plugins(config, is_cancelled); !loaded) {
        // A call into a plugin that does not return goes on to use the parts.
        [[maybe_unused]] static Parts* left_behind = nullptr;
        if (parts->plugins && parts->plugins->stop() > 0) left_behind = parts.release();
        return fail(loaded.error());
    }
    EW_CHECK(parts->serve(config, version));
    parts->notifier->start();
    parts->housekeeper->start();
    if (parts->sweeper) parts->sweeper->start();
    if (parts->export_workers) parts->export_workers->start(config.exports.workers);
    return std::unique_ptr<Daemon>(new Daemon(std::move(parts)));
}

Result<void> Daemon::reconfigure(const Result<config::Config>& config) {
    auto done = config ? take_over(*config) : fail(config.error());
    if (done) parts_->configured_us.store(system_clock().unix_us());
    const std::lock_guard held(parts_->refused_mutex);
    parts_->refused_configuration = done ? "" : done.error().message;
    return done;
}

Result<void> Daemon::take_over(config::Config config) {
    keep_export_store(parts_->started_with, parts_->stores, config);
    EW_CHECK(check_roots(parts_->stores, config.stores));
    EW_TRY(auth::RolePolicy roles, read_roles(config));
    auto credentials = parts_->credentials;
    if (config.stores == parts_->stores) {
        // The same stores: what is new in their files reaches every generation that has them.
        EW_CHECK(credentials->renew());
    } else {
        EW_TRY(credentials, credentials::CredentialStore::load(config.stores));
    }
    EW_CHECK(set_log_level(config.log_level));
    parts_->authenticator->set_roles(std::move(roles));
    // The plugins mint by the stores of before until their reload has ended.
    const auto lifetime =
        std::max(longest_link_lifetime(parts_->stores), longest_link_lifetime(config.stores));
    if (auto kept = parts_->databases.jobs->files().set_link_lifetime(lifetime); !kept)
        log_warn("lifetime of links: {}", kept.error().message);
    if (credentials != parts_->credentials) {
        credentials->start();
        parts_->credentials = credentials;
        parts_->current_credentials->set(credentials);
        parts_->stores = config.stores;
    }
    say_what_waits(parts_->started_with, config);
    parts_->plugins->reconfigure(host_config_of(config, credentials, parts_->marked_store()),
                                 "SIGHUP");
    return {};
}

}  // namespace export_worker::app
