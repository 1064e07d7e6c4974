#include "daemon/plugins/lifecycle/history.hpp"

#include <algorithm>
#include <array>

#include "daemon/plugins/lifecycle/limits.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::plugins {
namespace {

using sqlite::Connection;
using sqlite::Statement;

constexpr std::int64_t kApplicationId = 0x45575031;  // "EWP1"

constexpr std::array<const char*, 5> kMigrations{R"sql(
CREATE TABLE plugin (
    name              TEXT PRIMARY KEY,
    committed_sha256  TEXT NOT NULL DEFAULT '',
    configured_sha256 TEXT NOT NULL DEFAULT '',
    baking_sha256     TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE TABLE event (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    plugin     TEXT NOT NULL,
    at_us      INTEGER NOT NULL,
    cause      TEXT NOT NULL,
    file       TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    version    TEXT NOT NULL,
    generation INTEGER NOT NULL,
    outcome    TEXT NOT NULL,
    code       TEXT NOT NULL,
    detail     TEXT NOT NULL
) STRICT;
CREATE INDEX event_by_plugin ON event (plugin, id);
CREATE TABLE quarantine (
    sha256 TEXT PRIMARY KEY,
    plugin TEXT NOT NULL,
    at_us  INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
)sql",
                                                 R"sql(
CREATE TABLE call (
    sha256  TEXT NOT NULL,
    phase   TEXT NOT NULL,
    plugin  TEXT NOT NULL,
    running INTEGER NOT NULL,
    deaths  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sha256, phase)
) STRICT;
CREATE TABLE described (
    plugin  TEXT PRIMARY KEY,
    methods TEXT NOT NULL
) STRICT;
ALTER TABLE quarantine ADD COLUMN probe_timeout_ms INTEGER NOT NULL DEFAULT 0;
)sql",
                                                 R"sql(
CREATE TABLE crash (
    sha256 TEXT NOT NULL,
    at_us  INTEGER NOT NULL
) STRICT;
)sql",
                                                 R"sql(
ALTER TABLE plugin ADD COLUMN pinned TEXT NOT NULL DEFAULT '';
UPDATE plugin SET pinned = 'reload --file'
    WHERE configured_sha256 NOT IN ('', committed_sha256);
)sql",
                                                 R"sql(
CREATE TABLE run (
    id         INTEGER PRIMARY KEY CHECK (id = 1),
    unfinished INTEGER NOT NULL
) STRICT;
)sql"};

#define EW_EVENT_COLUMNS \
    "id, plugin, at_us, cause, file, sha256, version, generation, outcome, code, detail"

HistoryEntry read_entry(const Statement& row) {
    return {row.integer(0), row.string(1), row.integer(2), row.string(3),
            row.string(4),  row.string(5), row.string(6),  row.integer(7),
            row.string(8),  row.string(9), row.string(10)};
}

#define EW_QUARANTINE_COLUMNS                                                                     \
    "sha256, plugin, at_us, reason, probe_timeout_ms, coalesce((SELECT version FROM event WHERE " \
    "event.sha256 = quarantine.sha256 AND version != '' ORDER BY id DESC LIMIT 1), '')"

Quarantined read_quarantined(const Statement& row) {
    return {row.string(0), row.string(1),  row.integer(2),
            row.string(3), row.integer(4), row.string(5)};
}

// Entries beyond kPluginHistoryMax of that plugin go, oldest first; commits count apart.
Result<void> insert_event(Connection& connection, const HistoryEntry& entry) {
    EW_CHECK(connection
                 .statement("INSERT INTO event (plugin, at_us, cause, file, sha256, version, "
                            "generation, outcome, code, detail) VALUES (?1, ?2, ?3, ?4, ?5, "
                            "CASE WHEN ?6 <> '' THEN ?6 ELSE coalesce((SELECT version FROM event "
                            "WHERE sha256 = ?5 AND version <> '' ORDER BY id DESC LIMIT 1), '') "
                            "END, ?7, ?8, ?9, ?10)")
                 .bind(entry.plugin, entry.at_us, entry.trigger, entry.file, entry.sha256,
                       entry.version, entry.generation, entry.outcome, entry.code, entry.detail)
                 .run());
    return connection
        .statement(
            "DELETE FROM event WHERE plugin = ?1 AND (outcome = 'committed') = ?3 AND id <= "
            "(SELECT id FROM event WHERE plugin = ?1 AND (outcome = 'committed') = ?3 ORDER BY "
            "id DESC LIMIT 1 OFFSET ?2)")
        .bind(entry.plugin, static_cast<std::int64_t>(limits::kPluginHistoryMax),
              entry.outcome == "committed" ? 1 : 0)
        .run();
}

}  // namespace

Result<std::unique_ptr<History>> History::open(const std::string& path, const Clock& clock,
                                               sqlite::Durability durability) {
    EW_TRY(std::unique_ptr<sqlite::Database> database,
           sqlite::Database::open({.path = path,
                                   .application_id = kApplicationId,
                                   .migrations = kMigrations,
                                   .durability = durability}));
    return std::unique_ptr<History>(new History(std::move(database), clock));
}

Result<std::unique_ptr<History>> History::open_existing(const std::string& path,
                                                        const Clock& clock) {
    EW_TRY(std::unique_ptr<sqlite::Database> database,
           sqlite::Database::open({.path = path,
                                   .application_id = kApplicationId,
                                   .migrations = kMigrations,
                                   .must_exist = true}));
    return std::unique_ptr<History>(new History(std::move(database), clock));
}

Result<void> History::check(const std::string& path) {
    return sqlite::Database::check(
        {.path = path, .application_id = kApplicationId, .migrations = kMigrations});
}

Result<PluginRecord> History::record(const std::string& plugin) {
    return database_->read([&](Connection& connection) -> Result<PluginRecord> {
        Statement row = connection.statement(
            "SELECT committed_sha256, configured_sha256, baking_sha256, pinned FROM plugin WHERE "
            "name = ?1");
        row.bind(plugin);
        EW_TRY(const bool found, row.step());
        if (!found) return PluginRecord{};
        return PluginRecord{row.string(0), row.string(1), row.string(2), row.string(3)};
    });
}

Result<void> History::set_baking(const std::string& plugin, const std::string& sha256) {
    return database_->write([&](Connection& connection) {
        return connection
            .statement(
                "INSERT INTO plugin (name, baking_sha256) VALUES (?1, ?2) ON CONFLICT (name) DO "
                "UPDATE SET baking_sha256 = ?2")
            .bind(plugin, sha256)
            .run();
    });
}

Result<void> History::clear_baking(const std::string& plugin) {
    return set_baking(plugin, "");
}

Result<void> History::commit(const std::string& plugin, const std::string& sha256,
                             const std::string& configured_sha256, const std::string& pinned) {
    return database_->write([&](Connection& connection) {
        return connection
            .statement(
                "INSERT INTO plugin (name, committed_sha256, configured_sha256, pinned) VALUES "
                "(?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET committed_sha256 = ?2, "
                "configured_sha256 = ?3, baking_sha256 = '', pinned = ?4")
            .bind(plugin, sha256, configured_sha256, pinned)
            .run();
    });
}

Result<void> History::unpin(const std::string& plugin) {
    return database_->write([&](Connection& connection) {
        return connection.statement("UPDATE plugin SET pinned = '' WHERE name = ?1")
            .bind(plugin)
            .run();
    });
}

Result<void> History::add(HistoryEntry entry) {
    if (entry.at_us == 0) entry.at_us = clock_.unix_us();
    return database_->write(
        [&](Connection& connection) { return insert_event(connection, entry); });
}

Result<std::vector<HistoryEntry>> History::entries(const std::string& plugin, std::size_t limit) {
    return database_->read([&](Connection& connection) -> Result<std::vector<HistoryEntry>> {
        Statement rows = connection.statement(
            "SELECT " EW_EVENT_COLUMNS
            " FROM event WHERE ?1 = '' OR plugin = ?1 ORDER BY id DESC LIMIT ?2");
        rows.bind(plugin, static_cast<std::int64_t>(limit));
        return sqlite::read_all(rows, read_entry);
    });
}

Result<std::vector<std::string>> History::committed(const std::string& plugin) {
    return database_->read([&](Connection& connection) -> Result<std::vector<std::string>> {
        Statement rows = connection.statement(
            "SELECT sha256 FROM event WHERE plugin = ?1 AND outcome = 'committed' GROUP BY sha256 "
            "ORDER BY max(id) DESC LIMIT ?2");
        rows.bind(plugin, static_cast<std::int64_t>(limits::kPluginArtifactsKept));
        return sqlite::read_all(rows, sqlite::first_text);
    });
}

Result<std::set<std::string>> History::worth_keeping() {
    return database_->read([&](Connection& connection) -> Result<std::set<std::string>> {
        Statement rows = connection.statement(
            "SELECT sha256 FROM (SELECT sha256, row_number() OVER (PARTITION BY plugin ORDER BY "
            "max(id) DESC) AS place FROM event WHERE outcome = 'committed' GROUP BY plugin, "
            "sha256) WHERE place <= ?1 UNION SELECT committed_sha256 FROM plugin");
        rows.bind(static_cast<std::int64_t>(limits::kPluginArtifactsKept));
        EW_TRY(const std::vector<std::string> hashes, sqlite::read_all(rows, sqlite::first_text));
        return std::set<std::string>(hashes.begin(), hashes.end());
    });
}

Result<void> History::begin_call(const PluginCallMark& mark) {
    return database_->write([&](Connection& connection) {
        return connection
            .statement(
                "INSERT INTO call (sha256, phase, plugin, running) VALUES (?1, ?2, ?3, 1) ON "
                "CONFLICT (sha256, phase) DO UPDATE SET plugin = ?3, running = 1")
            .bind(mark.sha256, mark.phase, mark.plugin)
            .run();
    });
}

Result<void> History::end_call(const PluginCallMark& mark) {
    return database_->write([&](Connection& connection) {
        return connection.statement("DELETE FROM call WHERE sha256 = ?1 AND phase = ?2")
            .bind(mark.sha256, mark.phase)
            .run();
    });
}

Result<std::vector<InterruptedCall>> History::count_interrupted_calls(
    const std::set<std::string>& crashed) {
    return database_->write([&](Connection& connection) -> Result<std::vector<InterruptedCall>> {
        Statement rows = connection.statement(
            "UPDATE call SET running = 0, deaths = deaths + 1 WHERE running = 1 RETURNING plugin, "
            "sha256, phase, deaths");
        EW_TRY(std::vector<InterruptedCall> out, sqlite::read_all(rows, [&](const Statement& row) {
                   const bool counts = crashed.empty() || crashed.contains(row.string(1));
                   return InterruptedCall{{row.string(0), row.string(1), row.string(2)},
                                          row.integer(3) - (counts ? 0 : 1),
                                          counts};
               }));
        for (const InterruptedCall& call : out) {
            if (call.counts) continue;
            EW_CHECK(
                connection.statement("UPDATE call SET deaths = ?3 WHERE sha256 = ?1 AND phase = ?2")
                    .bind(call.mark.sha256, call.mark.phase, call.deaths)
                    .run());
        }
        return out;
    });
}

Result<std::int64_t> History::deaths(const PluginCallMark& mark) {
    return database_->read([&](Connection& connection) -> Result<std::int64_t> {
        Statement row =
            connection.statement("SELECT deaths FROM call WHERE sha256 = ?1 AND phase = ?2");
        row.bind(mark.sha256, mark.phase);
        EW_TRY(const bool found, row.step());
        return found ? row.integer(0) : 0;
    });
}

// A process that stops in good order leaves -1.
Result<LastRun> History::begin_run() {
    return database_->write([&](Connection& connection) -> Result<LastRun> {
        Statement before = connection.statement("SELECT unfinished FROM run");
        EW_TRY(const bool found, before.step());
        const LastRun out{!found, found ? before.integer(0) + 1 : 0};
        EW_CHECK(connection.statement("INSERT OR REPLACE INTO run (id, unfinished) VALUES (1, ?1)")
                     .bind(out.unfinished)
                     .run());
        return out;
    });
}

Result<void> History::end_run() {
    return database_->write([&](Connection& connection) {
        return connection.statement("UPDATE run SET unfinished = -1").run();
    });
}

Result<std::int64_t> History::count_crash(const std::string& sha256) {
    const std::int64_t now = clock_.unix_us();
    const std::int64_t since = now - std::chrono::microseconds(limits::kPluginCrashWindow).count();
    return database_->write([&](Connection& connection) -> Result<std::int64_t> {
        // A wall clock that was set back must not keep old ones for ever.
        EW_CHECK(connection.statement("DELETE FROM crash WHERE at_us < ?1 OR at_us > ?2")
                     .bind(since, now)
                     .run());
        EW_CHECK(connection.statement("INSERT INTO crash (sha256, at_us) VALUES (?1, ?2)")
                     .bind(sha256, now)
                     .run());
        Statement count = connection.statement("SELECT count(*) FROM crash WHERE sha256 = ?1");
        count.bind(sha256);
        EW_TRY(const bool found, count.step());
        return found ? count.integer(0) : 0;
    });
}

Result<void> History::forget_crashes(const std::string& sha256) {
    return database_->write([&](Connection& connection) {
        return connection.statement("DELETE FROM crash WHERE sha256 = ?1").bind(sha256).run();
    });
}

Result<void> History::set_methods(const std::string& plugin, const std::string& methods) {
    return database_->write([&](Connection& connection) {
        return connection
            .statement(
                "INSERT INTO described (plugin, methods) VALUES (?1, ?2) ON CONFLICT (plugin) DO "
                "UPDATE SET methods = ?2 WHERE methods != ?2")
            .bind(plugin, methods)
            .run();
    });
}

Result<std::string> History::methods(const std::string& plugin) {
    return database_->read([&](Connection& connection) -> Result<std::string> {
        Statement row = connection.statement("SELECT methods FROM described WHERE plugin = ?1");
        row.bind(plugin);
        EW_TRY(const bool found, row.step());
        return found ? row.string(0) : std::string();
    });
}

Result<void> History::quarantine(const std::string& plugin, const std::string& sha256,
                                 const std::string& reason,
                                 std::chrono::milliseconds probe_timeout) {
    const std::int64_t now = clock_.unix_us();
    return database_->write([&](Connection& connection) {
        return connection
            .statement(
                "INSERT OR REPLACE INTO quarantine (sha256, plugin, at_us, reason, "
                "probe_timeout_ms) VALUES (?1, ?2, ?3, ?4, ?5)")
            .bind(sha256, plugin, now, reason, std::int64_t{probe_timeout.count()})
            .run();
    });
}

Result<void> History::lift_quarantine(const std::string& sha256) {
    return database_->write([&](Connection& connection) {
        return connection.statement("DELETE FROM quarantine WHERE sha256 = ?1").bind(sha256).run();
    });
}

Result<void> History::lift_quarantine(const Quarantined& file, const std::string& detail) {
    HistoryEntry entry;
    entry.plugin = file.plugin;
    entry.at_us = clock_.unix_us();
    entry.trigger = "operator";
    entry.sha256 = file.sha256;
    entry.version = file.version;
    entry.outcome = "quarantine_lifted";
    entry.detail = detail;
    return database_->write([&](Connection& connection) -> Result<void> {
        EW_CHECK(connection.statement("DELETE FROM quarantine WHERE sha256 = ?1")
                     .bind(file.sha256)
                     .run());
        return insert_event(connection, entry);
    });
}

Result<std::optional<Quarantined>> History::quarantined(const std::string& sha256) {
    return database_->read([&](Connection& connection) -> Result<std::optional<Quarantined>> {
        Statement row = connection.statement("SELECT " EW_QUARANTINE_COLUMNS
                                             " FROM quarantine WHERE sha256 = ?1");
        row.bind(sha256);
        EW_TRY(const bool found, row.step());
        if (!found) return std::optional<Quarantined>();
        return std::optional<Quarantined>(read_quarantined(row));
    });
}

Result<std::vector<Quarantined>> History::all_quarantined() {
    return database_->read([&](Connection& connection) -> Result<std::vector<Quarantined>> {
        Statement rows = connection.statement("SELECT " EW_QUARANTINE_COLUMNS
                                              " FROM quarantine ORDER BY at_us DESC");
        return sqlite::read_all(rows, read_quarantined);
    });
}

}  // namespace export_worker::plugins
