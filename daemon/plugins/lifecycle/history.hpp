// What this daemon has done with its plugins, and what it may start with: STATE/plugins.db.
//
// A generation that bakes is written down before it serves; the mark goes away when it is
// committed, taken back, or the daemon stops in good order. A mark that is still there at the next
// start means that the daemon died while it baked: the file is quarantined and the committed one
// starts.
//
// Every call into plugin code outside handle(), and every probe, has a mark of its own
// (PluginCallMark), written before it and removed after it. A mark found at the next start is
// counted as one death.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/plugins/lifecycle/slot.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::plugins {

struct HistoryEntry {
    std::int64_t id = 0;
    std::string plugin;
    std::int64_t at_us = 0;
    std::string trigger;  // "start", "operator", "SIGHUP", "watch", "bake"
    std::string file;
    std::string sha256;
    std::string version;
    std::int64_t generation = 0;  // 0: it never got that far.
    std::string outcome;          // "committed", "baking", "refused", "rolled_back", "crashed", ...
    std::string code;             // Of a refusal.
    std::string detail;
};

struct Quarantined {
    std::string sha256;
    std::string plugin;
    std::int64_t at_us = 0;
    std::string reason;
    std::int64_t probe_timeout_ms = 0;  // Above 0: it ran out of this time in its probe.
    std::string version;                // As the history has it; empty: it does not know.
};

// A phase in which code of a plugin runs in the daemon.
inline constexpr const char* kLoadingPhase = "load, create, describe or self_test";
inline constexpr const char* kEndingPhase = "quiesce or destroy";
// One in which it runs in a child of the daemon.
inline constexpr const char* kProbingPhase = "the probe";

struct PluginCallMark {
    std::string plugin;
    std::string sha256;
    std::string phase;
};

struct InterruptedCall {
    PluginCallMark mark;
    std::int64_t deaths = 0;  // In a row: a call that returns sets it back to 0.
    bool counts = true;       // false: the process before died inside another file.
};

// How the process before ended.
struct LastRun {
    bool is_first = false;  // There was none: the file is new, or older than this record.
    // Processes in a row, up to the one before, that did not stop in good order.
    std::int64_t unfinished = 0;
};

// [any-thread]; durable when a call returns.
class History {
public:
    [[nodiscard]] static Result<std::unique_ptr<History>> open(
        const std::string& path, const Clock& clock,
        sqlite::Durability durability = sqlite::Durability::kSynced);
    // Whether open() would take the file, as sqlite::Database::check() has it.
    [[nodiscard]] static Result<void> check(const std::string& path);

    // For a program beside the daemon, which holds the state directory's lock: neither creates nor
    // migrates the file. Errors: as Database::open() with must_exist.
    [[nodiscard]] static Result<std::unique_ptr<History>> open_existing(const std::string& path,
                                                                        const Clock& clock);

    [[nodiscard]] Result<PluginRecord> record(const std::string& plugin);
    [[nodiscard]] Result<void> set_baking(const std::string& plugin, const std::string& sha256);
    // Forgets the mark, and nothing else.
    [[nodiscard]] Result<void> clear_baking(const std::string& plugin);
    // Also forgets the mark.
    [[nodiscard]] Result<void> commit(const std::string& plugin, const std::string& sha256,
                                      const std::string& configured_sha256,
                                      const std::string& pinned = "");
    // The configured file counts again at the next start or automatic reload.
    [[nodiscard]] Result<void> unpin(const std::string& plugin);

    // Appends; the id is set here, the time if it is 0, and the version if it is empty and known
    // for this hash. Entries beyond kPluginHistoryMax of that plugin go, oldest first; those of
    // commits, which a rollback needs, are counted apart from the others.
    [[nodiscard]] Result<void> add(HistoryEntry entry);
    // Newest first. `plugin` empty: all.
    [[nodiscard]] Result<std::vector<HistoryEntry>> entries(const std::string& plugin,
                                                            std::size_t limit);
    // Distinct hashes that were committed, newest first.
    [[nodiscard]] Result<std::vector<std::string>> committed(const std::string& plugin);

    // Of all plugins: what committed() lists, and what a start may need.
    [[nodiscard]] Result<std::set<std::string>> worth_keeping();

    // Before a call into plugin code, and after it has returned.
    [[nodiscard]] Result<void> begin_call(const PluginCallMark& mark);
    [[nodiscard]] Result<void> end_call(const PluginCallMark& mark);
    // Once per process, before its first begin_call(): the calls in which the process before ended,
    // each with one more death than before. `crashed`: hashes of the files in whose code it
    // crashed; if there are any, calls of other files do not count.
    [[nodiscard]] Result<std::vector<InterruptedCall>> count_interrupted_calls(
        const std::set<std::string>& crashed = {});
    // How many times in a row, up to now, the daemon has died in this call of this file.
    [[nodiscard]] Result<std::int64_t> deaths(const PluginCallMark& mark);

    // Once per process, at its begin, and when it stops in good order.
    [[nodiscard]] Result<LastRun> begin_run();
    [[nodiscard]] Result<void> end_run();

    // One more crash in the code of this file outside the calls above, now. Returns how many there
    // were within kPluginCrashWindow, this one included.
    [[nodiscard]] Result<std::int64_t> count_crash(const std::string& sha256);
    [[nodiscard]] Result<void> forget_crashes(const std::string& sha256);

    // What the plugin answered when it was last loaded, for a start without it. Empty: never
    // loaded.
    [[nodiscard]] Result<void> set_methods(const std::string& plugin, const std::string& methods);
    [[nodiscard]] Result<std::string> methods(const std::string& plugin);

    // `probe_timeout`: the time it ran out of in its probe; 0 for another reason.
    [[nodiscard]] Result<void> quarantine(const std::string& plugin, const std::string& sha256,
                                          const std::string& reason,
                                          std::chrono::milliseconds probe_timeout = {});
    [[nodiscard]] Result<void> lift_quarantine(const std::string& sha256);
    // The same by an operator: with an entry "quarantine_lifted", which has `detail`.
    [[nodiscard]] Result<void> lift_quarantine(const Quarantined& file, const std::string& detail);
    [[nodiscard]] Result<std::optional<Quarantined>> quarantined(const std::string& sha256);
    [[nodiscard]] Result<std::vector<Quarantined>> all_quarantined();  // Newest first.

    // As Database::backup().
    [[nodiscard]] Result<void> backup(const std::string& path,
                                      const std::function<bool()>& keep_going = {}) {
        return database_->backup(path, keep_going);
    }
    // As Database has them.
    [[nodiscard]] Result<void> compact(std::chrono::milliseconds pause_max,
                                       const std::function<bool()>& keep_going) {
        return database_->compact(pause_max, keep_going);
    }
    [[nodiscard]] Problem problem() const { return database_->problem(); }
    [[nodiscard]] std::uint64_t write_errors() const { return database_->write_errors(); }

private:
    History(std::unique_ptr<sqlite::Database> database, const Clock& clock)
        : database_(std::move(database)), clock_(clock) {}
    std::unique_ptr<sqlite::Database> database_;
    const Clock& clock_;
};

}  // namespace export_worker::plugins
