// The rules of one plugin's life: what a load, a bake's end, a rollback or a new process makes of
// it. Functions of values alone, without clock, thread, disk or plugin code, so that a test can try
// every order of events; transitions.hpp carries out what they say.
#pragma once

#include <string>
#include <variant>
#include <vector>

namespace export_worker::plugins {

// What plugins.db holds of a plugin. Empty texts: nothing.
struct PluginRecord {
    std::string committed_sha256;
    std::string configured_sha256;  // What the configured file held at that commit.
    std::string baking_sha256;
    // The act of an operator that keeps the committed file against the configured one, until that
    // changes: "rollback" or "reload --file".
    std::string pinned;
    bool operator==(const PluginRecord&) const = default;
};

// Who asks for a load. An automatic one (SIGHUP, a watched file) and a start leave alone what an
// operator has decided.
enum class Origin { kStart, kAutomatic, kOperator };

struct SlotState {
    PluginRecord kept;     // As plugins.db has it, once the effects are carried out.
    std::string serving;   // The hash of the generation that answers; empty: none.
    std::string warm;      // Of the one before it, while it bakes; empty: it does not bake.
    PluginRecord ends_as;  // While it bakes: what its commit will write.
    bool operator==(const SlotState&) const = default;
};

// A file has been loaded and passed every check.
struct FileLoaded {
    std::string sha256;
    std::string configured_sha256;  // What the configured file holds now.
    std::string act;    // The operator's act, as PluginRecord::pinned has it; empty: none.
    bool bake = false;  // Try it first, if there is one to go back to.
};
// What a load means serves already.
struct Confirmed {
    std::string configured_sha256;
    std::string act;  // As in FileLoaded.
};
struct BakeEnded {};  // Its time is over, or an operator commits it.
struct BakeFailed {
    std::string why;
};
// An operator rolls the bake back. `configured_sha256`: what the configured file holds at this
// moment; empty: it cannot be read, and what it held when the bake began counts.
struct TakenBack {
    std::string configured_sha256;
};
struct Unpinned {};
// The daemon begins anew. `elsewhere`: the process before ended in another plugin file.
struct Restarted {
    bool elsewhere = false;
};
using SlotEvent =
    std::variant<FileLoaded, Confirmed, BakeEnded, BakeFailed, TakenBack, Unpinned, Restarted>;

// To be carried out in this order. Those that write plugins.db are durable before the next one.
struct SlotEffect {
    enum class Kind {
        kMark,         // Writes that `sha256` bakes.
        kUnmark,       // Writes that nothing bakes.
        kCommit,       // Writes SlotState::kept, which has no mark then.
        kUnpin,        // Writes that nothing is pinned.
        kQuarantine,   // Writes that `sha256` may not be loaded, because of `why`.
        kServeLoaded,  // The loaded generation answers; the one before stays warm if there is a
                       // SlotState::warm, and is retired if not.
        kServeWarm,    // The warm generation answers again; the other one is retired.
        kRetireWarm,
    };
    Kind kind;
    std::string sha256;
    std::string why;
    bool operator==(const SlotEffect&) const = default;
};

struct SlotStep {
    SlotState state;
    std::vector<SlotEffect> effects;
};

// An event that does not fit the state (a bake's end without a bake) changes nothing.
[[nodiscard]] SlotStep step(const SlotState& state, const SlotEvent& event);

// The hash of the file a load by `origin` means that names none: the configured one, which now
// holds `configured_sha256`, or the committed one.
[[nodiscard]] std::string target_of(const PluginRecord& kept, Origin origin,
                                    const std::string& configured_sha256);

}  // namespace export_worker::plugins
