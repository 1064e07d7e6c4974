#include "daemon/plugins/lifecycle/slot.hpp"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>

namespace export_worker::plugins {
namespace {

using Kind = SlotEffect::Kind;

std::vector<Kind> kinds(const SlotStep& taken) {
    std::vector<Kind> out;
    for (const SlotEffect& effect : taken.effects) out.push_back(effect.kind);
    return out;
}

// `serving` was committed.
SlotState serving(const std::string& sha256) {
    return {{sha256, sha256, "", ""}, sha256, "", {}};
}
SlotState baking(const std::string& sha256, const std::string& before) {
    return step(serving(before), FileLoaded{sha256, sha256, "", true}).state;
}

TEST(Slot, TheFirstFileIsCommittedAtOnce) {
    const SlotStep first = step({}, FileLoaded{"a", "a", "", true});
    EXPECT_EQ(kinds(first), (std::vector{Kind::kServeLoaded, Kind::kCommit}));
    EXPECT_EQ(first.state, serving("a"));
}

TEST(Slot, TheMarkOfABakeIsWrittenBeforeItServes) {
    const SlotStep begun = step(serving("a"), FileLoaded{"b", "b", "", true});
    EXPECT_EQ(kinds(begun), (std::vector{Kind::kMark, Kind::kServeLoaded}));
    EXPECT_EQ(begun.state.kept, (PluginRecord{"a", "a", "b", ""}));
    EXPECT_EQ(begun.state.warm, "a");
}

TEST(Slot, ABakeThatEndsIsCommittedBeforeTheWayBackGoes) {
    const SlotStep ended = step(baking("b", "a"), BakeEnded{});
    EXPECT_EQ(kinds(ended), (std::vector{Kind::kCommit, Kind::kRetireWarm}));
    EXPECT_EQ(ended.state, serving("b"));
}

TEST(Slot, AFailedBakeServesAgainBeforeAnythingIsWritten) {
    const SlotStep failed = step(baking("b", "a"), BakeFailed{"it is slow"});
    EXPECT_EQ(failed.effects, (std::vector<SlotEffect>{{Kind::kServeWarm, "a", ""},
                                                       {Kind::kQuarantine, "b", "it is slow"},
                                                       {Kind::kUnmark, "", ""}}));
    EXPECT_EQ(failed.state, serving("a"));
}

TEST(Slot, SettingsThatFailQuarantineNoFile) {
    const SlotStep failed = step(baking("a", "a"), BakeFailed{"it is slow"});
    EXPECT_EQ(kinds(failed), (std::vector{Kind::kServeWarm, Kind::kUnmark}));
    SlotState died = baking("a", "a");
    EXPECT_EQ(kinds(step(died, Restarted{})), (std::vector{Kind::kUnmark}));
}

TEST(Slot, AnOperatorsRollbackPinsWhatServedBefore) {
    const SlotStep back = step(baking("b", "a"), TakenBack{});
    EXPECT_EQ(kinds(back), (std::vector{Kind::kServeWarm, Kind::kCommit}));
    EXPECT_EQ(back.state.kept, (PluginRecord{"a", "b", "", "rollback"}));
    EXPECT_EQ(target_of(back.state.kept, Origin::kAutomatic, "b"), "a");
    EXPECT_EQ(target_of(back.state.kept, Origin::kStart, "b"), "a");
    EXPECT_EQ(target_of(back.state.kept, Origin::kAutomatic, "c"), "c");  // It has changed.
    EXPECT_EQ(target_of(back.state.kept, Origin::kOperator, "b"), "b");
    const SlotStep free = step(back.state, Unpinned{});
    EXPECT_EQ(kinds(free), (std::vector{Kind::kUnpin}));
    EXPECT_EQ(target_of(free.state.kept, Origin::kStart, "b"), "b");
}

TEST(Slot, TheConfiguredFileNeedsNoPin) {
    const SlotState other = step(serving("a"), FileLoaded{"b", "a", "reload --file", true}).state;
    EXPECT_EQ(step(other, BakeEnded{}).state.kept, (PluginRecord{"b", "a", "", "reload --file"}));
    EXPECT_EQ(step(other, TakenBack{}).state.kept, (PluginRecord{"a", "a", "", ""}));
}

TEST(Slot, WhatIsConfirmedStandsFromNowOn) {
    // Another file was reloaded, and the pin lifted; then it is asked for once more.
    const SlotState free{{"b", "a", "", ""}, "b", "", {}};
    const SlotStep named = step(free, Confirmed{"a", "reload --file"});
    EXPECT_EQ(kinds(named), (std::vector{Kind::kCommit}));
    EXPECT_EQ(named.state.kept, (PluginRecord{"b", "a", "", "reload --file"}));
    EXPECT_TRUE(step(named.state, Confirmed{"a", "reload --file"}).effects.empty());
    // The configured file has become the pinned one: a later change of it counts.
    const SlotStep same = step(named.state, Confirmed{"b", ""});
    EXPECT_EQ(same.state.kept, (PluginRecord{"b", "b", "", ""}));
    EXPECT_EQ(target_of(same.state.kept, Origin::kAutomatic, "a"), "a");
    EXPECT_TRUE(step(baking("b", "a"), Confirmed{"a", ""}).effects.empty());
}

TEST(Slot, ADeathElsewhereQuarantinesNothing) {
    const SlotState baked = baking("b", "a");
    EXPECT_EQ(kinds(step(baked, Restarted{true})), (std::vector{Kind::kUnmark}));
    EXPECT_EQ(kinds(step(baked, Restarted{})), (std::vector{Kind::kQuarantine, Kind::kUnmark}));
    EXPECT_TRUE(step(serving("a"), Restarted{}).effects.empty());
}

TEST(Slot, WhatDoesNotFitChangesNothing) {
    const SlotState state = serving("a");
    for (const SlotEvent& event :
         std::vector<SlotEvent>{BakeEnded{}, BakeFailed{"why"}, TakenBack{}, Unpinned{}}) {
        const SlotStep taken = step(state, event);
        EXPECT_TRUE(taken.effects.empty());
        EXPECT_EQ(taken.state, state);
    }
}

// --- Every order of events ---
//
// A model of one plugin and of everything around it that decides: the configured file, the database
// as the disk has it, one load at a time, one request of an operator and one automatic one waiting.
// Each effect is a step of its own, so that the process can die between any two.

struct World {
    std::string configured = "a";  // The file's content.
    // On disk.
    PluginRecord disk;
    std::set<std::string> quarantine;
    std::set<std::string> committed;
    // In memory.
    bool up = false;
    SlotState slot;
    std::string answers;  // The generation that really answers.
    std::string warm;
    struct Request {
        Origin origin = Origin::kOperator;
        std::string what;  // "reload", "file", "rollback", "commit", "unpin"
        auto operator<=>(const Request&) const = default;
    };
    std::optional<Request> loading;
    std::string loading_sha256;
    std::optional<Request> waiting_operator;
    std::optional<Request> waiting_automatic;
    // What a rollback that was answered has decided on, and the configured file at that time;
    // empty: nothing.
    std::string decided;
    std::string decided_against;
    int asked = 0;
    int answered = 0;

    [[nodiscard]] std::string key() const {
        std::string out;
        const auto add = [&](const std::string& text) { out += text + '|'; };
        const auto add_request = [&](const std::optional<Request>& request) {
            add(request ? request->what + std::to_string(static_cast<int>(request->origin)) : "-");
        };
        const auto add_record = [&](const PluginRecord& record) {
            add(record.committed_sha256);
            add(record.configured_sha256);
            add(record.baking_sha256);
            add(record.pinned);
        };
        add(configured);
        add_record(disk);
        for (const std::string& bad : quarantine) add("q" + bad);
        for (const std::string& good : committed) add("c" + good);
        add(up ? "up" : "down");
        add_record(slot.kept);
        add_record(slot.ends_as);
        add(slot.serving);
        add(slot.warm);
        add(answers);
        add(warm);
        add_request(loading);
        add(loading_sha256);
        add_request(waiting_operator);
        add_request(waiting_automatic);
        add(decided);
        add(decided_against);
        return out;
    }
};

class Explorer {
public:
    // What may happen in a world; each is tried.
    enum class Move {
        kSighup,
        kChangeFile,  // With a watch that tells of it.
        kReload,
        kReloadFile,
        kRollback,
        kCommit,
        kUnpin,
        kLoadSucceeds,
        kLoadIsRefused,
        kLoadKills,
        kBakeEnds,
        kBakeFails,
        kKill,
        kRestart,
        kCount
    };

    void explore(int depth) {
        std::deque<std::pair<World, int>> open;
        World first;
        restart(first);
        open.emplace_back(first, 0);
        seen_.insert(first.key());
        while (!open.empty()) {
            const auto [world, distance] = open.front();
            open.pop_front();
            if (distance == depth) continue;
            for (int move = 0; move < static_cast<int>(Move::kCount); ++move) {
                // The process may also die after any number of the move's effects.
                for (int budget = 0; budget <= 4; ++budget) {
                    World next = world;
                    effects_left_ = budget == 4 ? 1'000 : budget;
                    died_ = false;
                    if (!take(next, static_cast<Move>(move))) break;
                    ++orders;
                    check(next);
                    if (::testing::Test::HasFailure()) {
                        std::printf("after move %d with %d effects of\n%s\n-> %s\n", move, budget,
                                    world.key().c_str(), next.key().c_str());
                        return;
                    }
                    if (seen_.insert(next.key()).second) open.emplace_back(next, distance + 1);
                }
            }
        }
    }
    [[nodiscard]] std::size_t states() const { return seen_.size(); }
    std::size_t orders = 0;

private:
    // False: it cannot happen there.
    bool take(World& world, Move move) {
        if (!world.up) {
            if (move == Move::kRestart) restart(world);
            if (move == Move::kChangeFile) change_file(world);
            return move == Move::kRestart || move == Move::kChangeFile;
        }
        switch (move) {
            case Move::kSighup: return ask(world, {Origin::kAutomatic, "reload"});
            case Move::kChangeFile:
                change_file(world);
                return ask(world, {Origin::kAutomatic, "reload"});
            case Move::kReload: return ask(world, {Origin::kOperator, "reload"});
            case Move::kReloadFile: return ask(world, {Origin::kOperator, "file"});
            case Move::kRollback: return ask(world, {Origin::kOperator, "rollback"});
            case Move::kCommit: return ask(world, {Origin::kOperator, "commit"});
            case Move::kUnpin: return ask(world, {Origin::kOperator, "unpin"});
            case Move::kLoadSucceeds: return end_load(world, true);
            case Move::kLoadIsRefused: return end_load(world, false);
            case Move::kLoadKills:
                if (!world.loading) return false;
                die(world);
                return true;
            case Move::kBakeEnds:
                if (world.slot.warm.empty()) return false;
                apply(world, BakeEnded{});
                begin_waiting(world);
                return true;
            case Move::kBakeFails:
                if (world.slot.warm.empty()) return false;
                apply(world, BakeFailed{"worse"});
                begin_waiting(world);
                return true;
            case Move::kKill: die(world); return true;
            case Move::kRestart:
            case Move::kCount: return false;
        }
        return false;
    }

    // Of a process that has died nobody hears any more.
    static void answer(World& world) {
        if (world.up) ++world.answered;
    }

    static void change_file(World& world) {
        world.configured = world.configured == "a" ? "b" : world.configured == "b" ? "c" : "a";
    }

    // A process that dies answers nobody; its callers see the connection go.
    void die(World& world) {
        died_ = true;
        world.up = false;
        world.slot = {};
        world.answers.clear();
        world.warm.clear();
        world.loading.reset();
        world.loading_sha256.clear();
        world.waiting_operator.reset();
        world.waiting_automatic.reset();
        world.asked = world.answered = 0;
    }

    // As PluginHost::begin_start(): what was decided on serves, then the configured file is tried.
    void restart(World& world) {
        world.up = true;
        world.slot.kept = world.disk;
        apply(world, Restarted{});
        if (died_) return;
        std::vector<std::string> usable;
        if (!world.disk.committed_sha256.empty()) usable.push_back(world.disk.committed_sha256);
        for (const std::string& each : world.committed) usable.push_back(each);
        for (const std::string& each : usable) {
            if (world.quarantine.contains(each)) continue;
            const PluginRecord kept = world.slot.kept;
            apply(world, FileLoaded{each, kept.configured_sha256, kept.pinned, false});
            if (died_) return;
            break;
        }
        world.loading = World::Request{Origin::kStart, "reload"};
        world.loading_sha256 = target_of(world.slot.kept, Origin::kStart, world.configured);
        begin_load(world);
    }

    bool ask(World& world, const World::Request& request) {
        ++world.asked;
        if (request.origin != Origin::kOperator) {
            if (world.waiting_automatic) answer(world);  // Once is enough.
            world.waiting_automatic = request;
        } else if (world.waiting_operator || is_busy(world, request)) {
            answer(world);  // Busy.
        } else {
            world.waiting_operator = request;
        }
        begin_waiting(world);
        return true;
    }

    static bool loads(const World::Request& request) {
        return request.what == "reload" || request.what == "file";
    }
    static bool is_busy(const World& world, const World::Request& request) {
        const bool bakes = !world.slot.warm.empty();
        return (bakes && loads(request)) ||
               (world.loading && world.loading->origin == Origin::kOperator);
    }

    // As PluginHost::may_begin() and ReloadQueue: operators first, loads wait for a bake.
    void begin_waiting(World& world) {
        for (auto* waiting : {&world.waiting_operator, &world.waiting_automatic}) {
            if (died_ || !*waiting || world.loading) continue;
            if (loads(**waiting) && !world.slot.warm.empty()) continue;
            const World::Request request = **waiting;
            waiting->reset();
            begin(world, request);
        }
    }

    void begin(World& world, const World::Request& request) {
        if (request.what == "commit") {
            apply(world, BakeEnded{});
            answer(world);
        } else if (request.what == "unpin") {
            apply(world, Unpinned{});
            if (!died_ || world.disk.pinned.empty()) world.decided.clear();
            answer(world);
        } else if (request.what == "rollback" && !world.slot.warm.empty()) {
            const std::string against = world.slot.ends_as.configured_sha256;
            drop_automatic(world);
            apply(world, TakenBack{});
            if (!died_) decide(world, world.slot.serving, against);
            answer(world);
        } else if (request.what == "rollback") {
            drop_automatic(world);
            roll_back(world, request);
        } else {
            world.loading = request;
            world.loading_sha256 =
                request.what == "file"
                    ? "d"
                    : target_of(world.slot.kept, request.origin, world.configured);
            begin_load(world);
        }
    }

    void roll_back(World& world, const World::Request& request) {
        for (const std::string& target : world.committed) {
            if (target == world.slot.serving) continue;
            world.loading = request;
            world.loading_sha256 = target;
            return begin_load(world);
        }
        answer(world);  // Refused: there is none.
    }

    // Unchanged and quarantined files end at once.
    void begin_load(World& world) {
        const World::Request request = *world.loading;
        const bool unchanged = world.loading_sha256 == world.slot.serving;
        if (!unchanged && !world.quarantine.contains(world.loading_sha256)) return;
        world.loading.reset();
        if (unchanged) confirm(world, request);
        world.loading_sha256.clear();
        if (request.origin != Origin::kStart) answer(world);
        if (!died_) begin_waiting(world);
    }

    // As PluginHost::end_unchanged().
    void confirm(World& world, const World::Request& request) {
        const PluginRecord kept = world.slot.kept;
        const bool stands =
            request.origin != Origin::kOperator && kept.configured_sha256 == world.configured;
        const std::string act = request.what == "file" ? "reload --file" : "";
        const Confirmed event{world.configured, stands ? kept.pinned : act};
        apply(world, event);
        if (world.disk.pinned != "rollback") world.decided.clear();
    }

    bool end_load(World& world, bool loaded) {
        if (!world.loading) return false;
        const World::Request request = *world.loading;
        const std::string sha256 = world.loading_sha256;
        world.loading.reset();
        world.loading_sha256.clear();
        if (request.origin != Origin::kStart) answer(world);
        if (loaded) {
            const std::string act = request.what == "rollback" ? "rollback"
                                    : request.what == "file"   ? "reload --file"
                                                               : "";
            const bool bake = request.what != "rollback";
            apply(world, FileLoaded{sha256, world.configured, act, bake});
            if (!died_ && request.what == "rollback") decide(world, sha256, world.configured);
        }
        if (!died_) begin_waiting(world);
        return true;
    }

    static void decide(World& world, const std::string& sha256, const std::string& against) {
        world.decided = sha256 == against ? "" : sha256;
        world.decided_against = sha256 == against ? "" : against;
    }
    static void drop_automatic(World& world) {
        if (world.waiting_automatic) answer(world);  // Superseded.
        world.waiting_automatic.reset();
    }

    // As PluginHost::change(), with the death of the process after any effect.
    void apply(World& world, const SlotEvent& event) {
        const SlotStep taken = step(world.slot, event);
        for (const SlotEffect& effect : taken.effects) {
            if (effects_left_-- <= 0) return die(world);
            carry_out(world, effect, taken.state);
        }
        world.slot = taken.state;
        EXPECT_EQ(world.slot.kept, world.disk);
    }

    static void carry_out(World& world, const SlotEffect& effect, const SlotState& next) {
        switch (effect.kind) {
            case Kind::kMark: world.disk.baking_sha256 = effect.sha256; break;
            case Kind::kUnmark: world.disk.baking_sha256.clear(); break;
            case Kind::kUnpin: world.disk.pinned.clear(); break;
            case Kind::kQuarantine: world.quarantine.insert(effect.sha256); break;
            case Kind::kCommit:
                EXPECT_EQ(next.kept.baking_sha256, "");
                world.disk = next.kept;
                world.committed.insert(effect.sha256);
                // A newer decision, or a changed file, replaces what was decided.
                if (!world.decided.empty() && world.decided != effect.sha256 &&
                    (next.kept.pinned != "rollback"))
                    world.decided.clear();
                break;
            case Kind::kServeLoaded:
                world.warm = next.warm.empty() ? "" : world.answers;
                world.answers = effect.sha256;
                break;
            case Kind::kServeWarm:
                EXPECT_FALSE(world.warm.empty());
                world.answers = world.warm;
                world.warm.clear();
                break;
            case Kind::kRetireWarm: world.warm.clear(); break;
        }
    }

    static void check(const World& world) {
        if (!world.up) return;
        // What is written and what answers agree.
        EXPECT_EQ(world.answers, world.slot.serving);
        EXPECT_EQ(world.warm, world.slot.warm);
        // Nothing quarantined ever serves, nor waits to.
        EXPECT_FALSE(world.quarantine.contains(world.answers)) << world.answers;
        EXPECT_FALSE(world.quarantine.contains(world.warm)) << world.warm;
        // Once something was committed, something committed serves, or a bake with one behind it.
        const bool committed = world.committed.contains(world.answers);
        const bool has_way_back = world.committed.contains(world.warm);
        EXPECT_TRUE(world.committed.empty() || committed || has_way_back);
        // Every accepted request has been answered once, or is still to be.
        const int open = (world.loading && world.loading->origin != Origin::kStart ? 1 : 0) +
                         (world.waiting_operator ? 1 : 0) + (world.waiting_automatic ? 1 : 0);
        EXPECT_EQ(world.asked, world.answered + open);
        // An operator's rollback stands as long as the configured file is what it was: nothing
        // that came by itself loads that file.
        const bool by_itself = world.loading && world.loading->origin != Origin::kOperator;
        const bool decided = !world.decided.empty() && world.configured == world.decided_against &&
                             !world.quarantine.contains(world.decided);
        EXPECT_FALSE(by_itself && decided && world.loading_sha256 == world.configured);
    }

    std::set<std::string> seen_;
    int effects_left_ = 0;
    bool died_ = false;
};

TEST(Slot, EveryOrderOfEventsKeepsThePromises) {
    Explorer explorer;
    // All there are with EXPORT_WORKER_SLOT_DEPTH=1000; as many as a second allows without.
    const char* const depth = std::getenv("EXPORT_WORKER_SLOT_DEPTH");
    explorer.explore(depth == nullptr ? 8 : std::atoi(depth));
    std::printf("%zu states, %zu orders\n", explorer.states(), explorer.orders);
    RecordProperty("states", std::to_string(explorer.states()));
    EXPECT_GT(explorer.states(), 3'000U);
}

}  // namespace
}  // namespace export_worker::plugins
