#include "plugins/download_url/minter.hpp"

#include <gtest/gtest.h>

#include "daemon/credentials/credential_store.hpp"
#include "daemon/plugins/running/abi_checks.hpp"
#include "daemon/plugins/running/host_services.hpp"
#include "plugins/download_url/abi_text.hpp"
#include "tests/unit/support/fake_clock.hpp"

namespace export_worker::download_url {
namespace {

using Config = std::map<std::string, std::string, std::less<>>;

const Config kAzure{
    {"store.a.kind", "azure"}, {"store.a.prefix", "az://exports/"}, {"store.a.account", "acct"}};

// What the self-test says with this secret of store a.
std::string complaint(const std::string& secret) {
    const testing::FakeClock clock;
    plugins::HostDeps deps;
    deps.clock = &clock;
    deps.credentials = std::make_shared<const credentials::CredentialStore>(
        credentials::CredentialSet::ByStore{{"a", {1, "acct", secret, "", 0}}});
    const plugins::HostServices host("download_url", deps);
    const plugins::PluginScope scope({.step = plugins::PluginStep::kSelfTest, .host = &host});
    Services services;
    services.host = &host;
    services.clock =
        static_cast<const ew_ext_clock*>(host.get_extension(&host, abi_string(EW_EXT_CLOCK)));
    services.credentials = static_cast<const ew_ext_credentials_2*>(
        host.get_extension(&host, abi_string(EW_EXT_CREDENTIALS_2)));
    const auto tested = Minter(services, *read_stores(kAzure)).self_test();
    return tested ? "" : tested.error().message;
}

TEST(Minter, TheSelfTestNamesTheStoreThatCannotSign) {
    EXPECT_EQ(complaint("c2VjcmV0"), "");
    const std::string refused = complaint("SEKRET!");
    EXPECT_TRUE(refused.starts_with("[store.a] The job's file_url cannot be signed: ")) << refused;
    EXPECT_EQ(refused.find("SEKRET"), std::string::npos);
}

TEST(Minter, AStoreThatIsNoneIsNamed) {
    Config bad = kAzure;
    bad.erase("store.a.account");
    const auto refused = read_stores(bad);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().message, "[store.a] account: missing");
}

}  // namespace
}  // namespace export_worker::download_url
