#include "http_shim/reload.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::http_shim {
namespace {

class ShimReloadTest : public ::testing::Test {
protected:
    std::string write(const std::string& http) const {
        return dir_.write("export-worker.ini", "[daemon]\nstate_dir = /srv\n[http]\n" + http);
    }
    static std::uint64_t caller() { return 7; }

    const testing::TempDir dir_;
    Connections connections_{1};
    boost::asio::io_context context_{1};
    std::unique_ptr<client::DaemonPool> pool_ =
        std::move(*client::DaemonPool::open({"ipc://" + dir_.path() + "/nobody.sock"}));
    DaemonLink link_{context_, *pool_};
    SessionDeps deps_{
        *read_config(write("hosts = a.example\ncredential_rate = 1\ncredential_burst = 1\n")),
        link_, connections_, "test"};
};

TEST_F(ShimReloadTest, TakesOverWhatCanChange) {
    write(
        "hosts = b.example\ntrusted_proxies = unix\nmetrics_from = ::1\ndocs = off\n"
        "request_timeout_ms = 100\ncors_origins = https://c.example\naddress_connections = 2\n");
    reload(deps_);
    EXPECT_EQ(deps_.config.hosts, std::vector<std::string>({"b.example"}));
    EXPECT_TRUE(deps_.config.trusted_proxies.contains("unix"));
    EXPECT_TRUE(deps_.config.metrics_from.contains("::1"));
    EXPECT_FALSE(deps_.config.docs);
    EXPECT_EQ(deps_.config.request_timeout_ms, 100U);
    EXPECT_EQ(deps_.config.cors_origins.size(), 1U);
    EXPECT_TRUE(deps_.metrics.configuration_good);
    const auto first = connections_.admit("192.0.2.1", false);
    EXPECT_TRUE(connections_.admit("192.0.2.1", false)) << "the second of two";
}

TEST_F(ShimReloadTest, AFileThatCannotBeUsedChangesNothing) {
    for (const char* bad :
         {"hosts = b.example\ndocs = perhaps\n", "hosts = b.example\nhostss = c\n",
          "hosts = b.example\n[store.a]\nkind = local\nroot = /r\nkey_file = /no\n"}) {
        write(bad);
        reload(deps_);
        EXPECT_EQ(deps_.config.hosts, std::vector<std::string>({"a.example"})) << bad;
        EXPECT_FALSE(deps_.metrics.configuration_good) << bad;
    }
    write("hosts = b.example\n");
    reload(deps_);
    EXPECT_TRUE(deps_.metrics.configuration_good);
}

TEST_F(ShimReloadTest, ALimiterForgetsItsCallersOnlyWhenItsRateChanges) {
    const auto now = Clock::now();
    EXPECT_FALSE(deps_.by_credential.take(caller(), now));
    write("credential_rate = 1\ncredential_burst = 1\naddress_rate = 3\n");
    reload(deps_);
    EXPECT_TRUE(deps_.by_credential.take(caller(), now)) << "still one a second";
    write("credential_rate = 1\ncredential_burst = 5\naddress_rate = 3\n");
    reload(deps_);
    EXPECT_FALSE(deps_.by_credential.take(caller(), now));
}

TEST_F(ShimReloadTest, ACutOffFileChangesNothing) {
    for (const char* text : {"", "[http]\nhosts = b.example\n", "# only this\n"}) {
        dir_.write("export-worker.ini", text);
        reload(deps_);
        EXPECT_EQ(deps_.config.hosts, std::vector<std::string>({"a.example"})) << text;
        EXPECT_FALSE(deps_.metrics.configuration_good) << text;
    }
}

}  // namespace
}  // namespace export_worker::http_shim
