#include "daemon/plugins/lifecycle/slot.hpp"

namespace export_worker::plugins {
namespace {

using Kind = SlotEffect::Kind;

// Nothing has to be kept against the configured file when it is that file, or there is none.
PluginRecord decided(const std::string& sha256, const std::string& configured_sha256,
                     const std::string& act) {
    const bool pins = !configured_sha256.empty() && sha256 != configured_sha256;
    return {sha256, configured_sha256, "", pins ? act : ""};
}

SlotStep on(SlotState state, const FileLoaded& loaded) {
    const PluginRecord ends_as = decided(loaded.sha256, loaded.configured_sha256, loaded.act);
    const std::string before = state.serving;
    state.serving = loaded.sha256;
    if (!loaded.bake || before.empty()) {
        state.kept = ends_as;
        return {std::move(state),
                {{Kind::kServeLoaded, loaded.sha256, ""}, {Kind::kCommit, loaded.sha256, ""}}};
    }
    state.warm = before;
    state.ends_as = ends_as;
    state.kept.baking_sha256 = loaded.sha256;
    return {std::move(state),
            {{Kind::kMark, loaded.sha256, ""}, {Kind::kServeLoaded, loaded.sha256, ""}}};
}

SlotStep on(SlotState state, const Confirmed& confirmed) {
    PluginRecord kept = decided(state.serving, confirmed.configured_sha256, confirmed.act);
    if (!state.warm.empty() || state.serving.empty() || kept == state.kept)
        return {std::move(state), {}};
    state.kept = std::move(kept);
    const std::string serving = state.serving;
    return {std::move(state), {{Kind::kCommit, serving, ""}}};
}

SlotStep on(SlotState state, const BakeEnded&) {
    if (state.warm.empty()) return {std::move(state), {}};
    const std::string retired = state.warm;
    state.kept = state.ends_as;
    state.ends_as = {};
    state.warm.clear();
    const std::string committed = state.serving;
    return {std::move(state), {{Kind::kCommit, committed, ""}, {Kind::kRetireWarm, retired, ""}}};
}

// The one before answers again before anything is written: its callers wait, the disk can.
SlotStep on(SlotState state, const BakeFailed& failed) {
    if (state.warm.empty()) return {std::move(state), {}};
    const std::string bad = state.serving;
    const bool same_file = bad == state.warm;
    state.serving = state.warm;
    state.warm.clear();
    state.ends_as = {};
    state.kept.baking_sha256.clear();
    std::vector<SlotEffect> effects{{Kind::kServeWarm, state.serving, ""}};
    // The same file with other settings: it is the settings that are bad.
    if (!same_file) effects.push_back({Kind::kQuarantine, bad, failed.why});
    effects.push_back({Kind::kUnmark, "", ""});
    return {std::move(state), std::move(effects)};
}

SlotStep on(SlotState state, const TakenBack& taken) {
    if (state.warm.empty()) return {std::move(state), {}};
    const std::string& configured =
        taken.configured_sha256.empty() ? state.ends_as.configured_sha256 : taken.configured_sha256;
    state.kept = decided(state.warm, configured, "rollback");
    state.serving = state.warm;
    state.warm.clear();
    state.ends_as = {};
    const std::string back = state.serving;
    return {std::move(state), {{Kind::kServeWarm, back, ""}, {Kind::kCommit, back, ""}}};
}

SlotStep on(SlotState state, const Unpinned&) {
    if (state.kept.pinned.empty()) return {std::move(state), {}};
    state.kept.pinned.clear();
    return {std::move(state), {{Kind::kUnpin, "", ""}}};
}

SlotStep on(SlotState state, const Restarted& restarted) {
    const std::string baked = state.kept.baking_sha256;
    const bool same_file = baked == state.kept.committed_sha256;
    state = {{state.kept.committed_sha256, state.kept.configured_sha256, "", state.kept.pinned},
             "",
             "",
             {}};
    if (baked.empty()) return {std::move(state), {}};
    std::vector<SlotEffect> effects;
    if (!restarted.elsewhere && !same_file)
        effects.push_back({Kind::kQuarantine, baked, "the daemon died while it was baking"});
    effects.push_back({Kind::kUnmark, "", ""});
    return {std::move(state), std::move(effects)};
}

}  // namespace

SlotStep step(const SlotState& state, const SlotEvent& event) {
    return std::visit([&](const auto& what) { return on(state, what); }, event);
}

std::string target_of(const PluginRecord& kept, Origin origin,
                      const std::string& configured_sha256) {
    const bool decided = origin != Origin::kOperator && !kept.pinned.empty() &&
                         kept.configured_sha256 == configured_sha256;
    return decided ? kept.committed_sha256 : configured_sha256;
}

}  // namespace export_worker::plugins
