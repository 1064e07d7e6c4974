#include "base/options/config_keys.hpp"

#include <gtest/gtest.h>

#include <set>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::options {
namespace {

using Names = std::vector<std::string>;

std::string refusal(const std::string& text) {
    const testing::TempDir dir;
    const auto file = ConfigFile::read(dir.write("c.ini", text));
    if (!file) return file.error().message;
    const auto checked = check_known_keys(*file);
    return checked ? "" : checked.error().message;
}

Names waiting(Program program, const ConfigValues& running, const ConfigValues& read,
              std::string_view export_store = "") {
    return waiting_for_restart(program, running, read, export_store);
}

TEST(ConfigKeys, AreThereOnce) {
    std::set<std::pair<std::string_view, std::string_view>> seen;
    for (const ConfigKey& key : config_keys())
        EXPECT_TRUE(seen.emplace(key.section, key.name).second) << key.section << " " << key.name;
}

TEST(ConfigKeys, AreUsedByAProgram) {
    for (const ConfigKey& key : config_keys())
        EXPECT_TRUE(key.daemon != Change::kUnused || key.shim != Change::kUnused) << key.name;
}

TEST(ConfigKeys, UnknownOnesAreRefusedInEverySection) {
    EXPECT_EQ(refusal("[daemon]\nworkers = 1\n[http]\ndocs = on\n[plugin.x]\nanything = 1\n"), "");
    for (const char* section :
         {"daemon", "export", "http", "auth", "plugins", "store.a", "webhook.acme"}) {
        const std::string message = refusal("[" + std::string(section) + "]\nnonsense = 1\n");
        EXPECT_NE(message.find("[" + std::string(section) + "] unknown key 'nonsense'"),
                  std::string::npos)
            << section << ": " << message;
    }
    EXPECT_NE(refusal("[http]\nlisten_on = x\n").find("did you mean 'listen'?"), std::string::npos);
    EXPECT_NE(refusal("[htpp]\n listen = x\n").find("unknown section [htpp]"), std::string::npos);
}

TEST(ConfigKeys, AStoreHasThoseOfItsKind) {
    EXPECT_EQ(refusal("[store.a]\nkind = s3\nregion = x\n"), "");
    EXPECT_NE(refusal("[store.a]\nkind = local\nregion = x\n").find("unknown key 'region'"),
              std::string::npos);
    EXPECT_EQ(refusal("[store.a]\nkind = tape\nregion = x\n"), "") << "its kind is told instead";
}

TEST(ConfigKeys, AllUnknownOnesAreCollected) {
    const testing::TempDir dir;
    Problems problems;
    const auto file = ConfigFile::read(
        dir.write("c.ini", "[daemon]\na = 1\n[http]\nb = 2\n[no]\nc = 3\n"), &problems);
    ASSERT_TRUE(file);
    EXPECT_TRUE(check_known_keys(*file));
    EXPECT_EQ(problems.size(), 4U) << "two keys, a section and its key";
}

TEST(WaitingForRestart, NamesWhatHasChangedAndCannotChangeLive) {
    const ConfigValues running{{"daemon", {{"workers", "4"}, {"log_level", "info"}}},
                               {"http", {{"listen", "127.0.0.1:1"}}}};
    ConfigValues read = running;
    EXPECT_EQ(waiting(Program::kDaemon, running, read), Names());
    read["daemon"] = {{"workers", "5"}, {"log_level", "debug"}, {"log_format", "json"}};
    read["http"]["listen"] = "127.0.0.1:2";
    EXPECT_EQ(waiting(Program::kDaemon, running, read),
              Names({"[daemon] log_format", "[daemon] workers"}));
    EXPECT_EQ(waiting(Program::kShim, running, read), Names({"[http] listen"}));
    EXPECT_EQ(waiting(Program::kShim, read, {}), Names({"[http] listen"})) << "taken away";
}

TEST(WaitingForRestart, TheStoreOfExportsIsOpenedAtTheStart) {
    const ConfigValues running{{"store.a", {{"root", "/a"}}}, {"store.b", {{"root", "/b"}}}};
    const ConfigValues read{{"store.a", {{"root", "/x"}, {"link_lifetime_s", "5"}}},
                            {"store.b", {{"root", "/y"}}}};
    EXPECT_EQ(waiting(Program::kDaemon, running, read, "a"), Names({"[store.a] root"}));
    EXPECT_EQ(waiting(Program::kDaemon, running, read), Names());
    EXPECT_EQ(waiting(Program::kShim, running, read, "a"), Names({"[store.a] root"}));
}

TEST(WaitingForRestart, TheShimAsksTheDaemonsSectionOnlyWithoutDaemonsOfItsOwn) {
    const ConfigValues running{{"daemon", {{"state_dir", "/a"}}}};
    const ConfigValues moved{{"daemon", {{"state_dir", "/b"}}}};
    EXPECT_EQ(waiting(Program::kShim, running, moved), Names({"[daemon] state_dir"}));
    ConfigValues own = running;
    ConfigValues own_moved = moved;
    own["http"]["daemons"] = own_moved["http"]["daemons"] = "ipc:///x";
    EXPECT_EQ(waiting(Program::kShim, own, own_moved), Names());
}

TEST(ExportStore, IsTheNamedOneOrTheFirstLocalOne) {
    const ConfigValues stores{{"store.b", {{"kind", "s3"}}},
                              {"store.c", {{"kind", "local"}}},
                              {"store.d", {{"kind", "local"}}}};
    EXPECT_EQ(export_store_of(stores), "c");
    ConfigValues named = stores;
    named["export"] = {{"store", "b"}};
    EXPECT_EQ(export_store_of(named), "b");
    named["export"] = {{"store", "b"}, {"workers", "0"}};
    EXPECT_EQ(export_store_of(named), "");
    EXPECT_EQ(export_store_of({}), "");
}

TEST(ExportStore, HasMovedWhenItsPlaceIsAnotherOne) {
    const ConfigValues running{
        {"store.a", {{"kind", "s3"}, {"prefix", "s3://one/"}, {"link_lifetime_s", "5"}}}};
    ConfigValues read = running;
    read["store.a"]["link_lifetime_s"] = "6";
    EXPECT_FALSE(has_moved(running, read, "a"));
    read["store.a"]["prefix"] = "s3://two/";
    EXPECT_TRUE(has_moved(running, read, "a"));
    EXPECT_TRUE(has_moved(running, {}, "a"));
}

}  // namespace
}  // namespace export_worker::options
