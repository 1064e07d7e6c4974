#include <gtest/gtest.h>

#include "daemon/credentials/credential_store.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::download_url {
namespace {

// As the daemon loads it: what is wrong with a store is found before a caller meets it.
TEST(Minter, AStoreThatCannotSignKeepsThePluginFromServing) {
    const testing::TempDir dir;
    const testing::FakeClock clock;
    plugin_host::HostParts parts;
    parts.clock = &clock;
    parts.credentials = std::make_shared<const credentials::CredentialStore>(
        credentials::CredentialSet::ByStore{{"a", {1, "acct", "SEKRET!", "", 0}}});
    auto host = plugin_host::PluginHost::open(testing::host_options(dir, parts));
    ASSERT_TRUE(host) << host.error().message;
    const std::string file = testing::install_plugin(dir, "download_url_b");
    const auto refused = [&](const std::map<std::string, std::string>& settings) {
        const auto loaded = (*host)->load("download_url", file, settings);
        return loaded ? std::string() : loaded.error().message;
    };
    const std::map<std::string, std::string> azure{{"store.a.kind", "azure"},
                                                   {"store.a.prefix", "az://exports/"},
                                                   {"store.a.account", "acct"}};
    const std::string unsigned_link = refused(azure);
    EXPECT_NE(unsigned_link.find("[store.a] The job's file_url cannot be signed: "),
              std::string::npos)
        << unsigned_link;
    EXPECT_EQ(unsigned_link.find("SEKRET"), std::string::npos);
    auto nameless = azure;
    nameless.erase("store.a.account");
    EXPECT_NE(refused(nameless).find("[store.a] account: "), std::string::npos)
        << refused(nameless);
}

}  // namespace
}  // namespace export_worker::download_url
