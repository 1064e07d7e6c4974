#include "http_shim/config.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "protocol/transport/limits.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::http_shim {
namespace {

class ConfigTest : public ::testing::Test {
protected:
    Result<Config> read(const std::string& text) const {
        return read_config(dir_.write("export-worker.ini", text));
    }
    Config good(const std::string& text) const {
        auto config = read(text);
        EXPECT_TRUE(config) << config.error().message;
        return config ? std::move(*config) : Config();
    }
    // With the section that every file has.
    Result<Config> read_with_daemon(const std::string& text) const {
        return read("[daemon]\nstate_dir = /srv/state\n" + text);
    }
    // The complaint about a file, which must name it.
    std::string complaint(const std::string& text) const {
        const auto config = read(text);
        if (config) return "accepted";
        EXPECT_EQ(config.error().code, ErrorCode::kInvalidArgument) << config.error().message;
        EXPECT_NE(config.error().message.find("export-worker.ini"), std::string::npos)
            << config.error().message;
        return config.error().message;
    }
    bool refuses(const std::string& key, const std::string& value) const {
        return complaint("[http]\n" + key + " = " + value + "\n").find(key + ": ") !=
               std::string::npos;
    }

    const testing::TempDir dir_;
};

TEST_F(ConfigTest, AnEmptyFileHasTheDefaults) {
    const Config config = good("[daemon]\nstate_dir = /srv/state\n");
    EXPECT_EQ(config.listen, std::vector<std::string>({"127.0.0.1:8080"}));
    EXPECT_EQ(config.data_endpoints, std::vector<std::string>({"ipc:///srv/state/run/data.sock"}));
    EXPECT_TRUE(config.docs);
    for (const char* peer : {"127.0.0.1", "::1", "unix", "192.0.2.1"})
        EXPECT_FALSE(config.metrics_from.contains(peer)) << peer;
    EXPECT_FALSE(config.trusted_proxies.contains("127.0.0.1"));
    EXPECT_FALSE(config.curve);
    EXPECT_TRUE(config.downloads.empty());
}

TEST_F(ConfigTest, ReadsEveryKey) {
    const Config config = good(
        "[http]\nlisten = 127.0.0.1:1 [::1]:2 unix:/run/x systemd\nsocket_mode = 0600\n"
        "hosts = a.example b.example:8080\ndaemons = ipc:///a ipc:///b\n"
        "request_timeout_ms = 100\nlog_level = debug\nlog_format = json\n"
        "trusted_proxies = 10.0.0.0/8 unix\nmetrics_from = ::1\ndocs = off\naddress_rate = 5\n"
        "address_burst = 6\ncredential_rate = 7\ncredential_burst = 8\naddress_connections = 9\n"
        "access_log_sample = 10\n");
    EXPECT_EQ(config.listen.size(), 4U);
    EXPECT_EQ(config.socket_mode, 0600U);
    EXPECT_EQ(config.hosts.size(), 2U);
    EXPECT_EQ(config.data_endpoints, std::vector<std::string>({"ipc:///a", "ipc:///b"}));
    EXPECT_EQ(config.request_timeout_ms, 100U);
    EXPECT_EQ(config.log_level, "debug");
    EXPECT_EQ(config.log_format, "json");
    EXPECT_TRUE(config.trusted_proxies.contains("10.1.2.3"));
    EXPECT_FALSE(config.metrics_from.contains("127.0.0.1"));
    EXPECT_FALSE(config.docs);
    EXPECT_EQ(config.address_rate, 5U);
    EXPECT_EQ(config.address_burst, 6U);
    EXPECT_EQ(config.credential_rate, 7U);
    EXPECT_EQ(config.credential_burst, 8U);
    EXPECT_EQ(config.address_connections_max, 9U);
    EXPECT_EQ(config.access_log_sample, 10U);
}

TEST_F(ConfigTest, TheDaemonsOwnKeysDecideWhereItListens) {
    EXPECT_EQ(
        good("[daemon]\nstate_dir = /a\ndata_endpoint = ipc:///b\nworkers = 3\n").data_endpoints,
        std::vector<std::string>({"ipc:///b"}));
}

TEST_F(ConfigTest, ListenersAreAddressesPathsOrSystemd) {
    for (const char* value :
         {"8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:x",
          "localhost:1", ":1", "unix:relative", "tcp://127.0.0.1:1x", "\xff"})
        EXPECT_TRUE(refuses("listen", value)) << value;
    std::string many;
    for (std::size_t count = 0; count <= limits::kHttpListenersMax; ++count)
        many += "127.0.0.1:" + std::to_string(count) + " ";
    EXPECT_TRUE(refuses("listen", many));
}

TEST_F(ConfigTest, NumbersHaveBounds) {
    for (const char* value : {"99", "60001", "-1", "x", "1.5", "", "99999999999999999999"})
        EXPECT_TRUE(refuses("request_timeout_ms", value)) << value;
    for (const char* key : {"address_rate", "credential_rate", "address_burst", "credential_burst"})
        for (const char* value : {"1000001", "-1", "x"}) EXPECT_TRUE(refuses(key, value)) << key;
    EXPECT_TRUE(refuses("address_burst", "0"));
    EXPECT_TRUE(refuses("credential_burst", "0"));
    EXPECT_TRUE(refuses("address_connections", "4097"));
    EXPECT_TRUE(refuses("socket_mode", "999"));
}

TEST_F(ConfigTest, ListsHaveBounds) {
    const auto list = [](std::size_t count, const std::string& word) {
        std::string out;
        for (std::size_t index = 0; index < count; ++index)
            out += word + std::to_string(index) + " ";
        return out;
    };
    EXPECT_FALSE(refuses("daemons", list(limits::kPoolDaemonsMax, "ipc:///run/d")));
    EXPECT_TRUE(refuses("daemons", list(limits::kPoolDaemonsMax + 1, "ipc:///run/d")));
    EXPECT_FALSE(refuses("listen", list(limits::kHttpListenersMax, "unix:/run/l")));
    EXPECT_TRUE(refuses("listen", list(limits::kHttpListenersMax + 1, "unix:/run/l")));
}

TEST_F(ConfigTest, ChoicesAndAddressesAreChecked) {
    EXPECT_TRUE(refuses("log_format", "xml"));
    EXPECT_TRUE(refuses("docs", "maybe"));
    for (const char* value : {"10.0.0.0/33", "somewhere", "10.0.0", "::1/129", "10.0.0.1/"}) {
        EXPECT_TRUE(refuses("trusted_proxies", value)) << value;
        EXPECT_TRUE(refuses("metrics_from", value)) << value;
    }
}

TEST_F(ConfigTest, EveryKeyRefusesWhatMeansNothing) {
    for (const char* key :
         {"listen", "socket_mode", "daemons", "request_timeout_ms", "log_level", "log_format",
          "trusted_proxies", "metrics_from", "docs", "cors_origins", "address_rate",
          "address_burst", "credential_rate", "credential_burst", "address_connections"})
        EXPECT_TRUE(refuses(key, "abc")) << key;
    EXPECT_TRUE(refuses("listen", "unix:/" + std::string(200, 'x')));
    EXPECT_TRUE(refuses("listen", "127.0.0.1:8080 unix:/run/l 127.0.0.1:8080"));
    EXPECT_TRUE(refuses("daemons", "tcp://daemon.example:7411"));
}

TEST_F(ConfigTest, ACurveKeyAloneIsNamed) {
    EXPECT_NE(complaint("[http]\ncurve_key_file = /k\n")
                  .find("curve_server_key_file: missing; required with curve_key_file"),
              std::string::npos);
    EXPECT_NE(complaint("[http]\ncurve_server_key_file = /k\n")
                  .find("curve_key_file: missing; required with curve_server_key_file"),
              std::string::npos);
    EXPECT_NE(complaint("[http]\ndaemons = tcp://10.0.0.5:7411\n")
                  .find("curve_key_file: missing; expected it and curve_server_key_file"),
              std::string::npos);
}

TEST_F(ConfigTest, WhatTheDaemonsSectionsMustHaveIsNamed) {
    const std::string daemon = "[daemon]\nstate_dir = /srv/state\n";
    EXPECT_NE(complaint("[daemon]\nstate_dir = /a\ndata_endpoint = abc\n")
                  .find("[daemon] data_endpoint: "),
              std::string::npos);
    EXPECT_NE(complaint(daemon + "[store.a]\nkind = local\nroot = /srv\n")
                  .find("[store.a] key_file: missing"),
              std::string::npos);
    EXPECT_NE(complaint(daemon + "[store.a]\nkind = local\nkey_file = /k\n")
                  .find("[store.a] root: missing"),
              std::string::npos);
    EXPECT_NE(complaint(daemon + "[store.a]\nroot = /srv\nkey_file = /k\n")
                  .find("[store.a] kind: missing; expected local, s3"),
              std::string::npos);
    EXPECT_NE(complaint(daemon + "[store.a]\nkind = lokal\nroot = /srv\nkey_file = /k\n")
                  .find("[store.a] kind: expected one of local, s3, gcs, azure, cloudfront, found "
                        "'lokal'"),
              std::string::npos);
    EXPECT_NE(complaint("[http]\ndocs = on\n").find("[daemon] state_dir: missing"),
              std::string::npos);
    EXPECT_TRUE(read("[http]\ndaemons = ipc:///x\n"));
}

TEST_F(ConfigTest, UnknownKeysAndSectionsAreRefused) {
    EXPECT_NE(complaint("[http]\nlisten_on = 127.0.0.1:1\n").find("listen_on"), std::string::npos);
    EXPECT_NE(complaint("[htp]\nlisten = 127.0.0.1:1\n").find("htp"), std::string::npos);
    complaint("listen = 127.0.0.1:1\n");
    complaint("[http]\nlisten = 127.0.0.1:1\nlisten = 127.0.0.1:2\n");
}

TEST_F(ConfigTest, AFileThatIsNotThereIsNotFound) {
    EXPECT_EQ(read_config(dir_ / "none.ini").error().code, ErrorCode::kNotFound);
    EXPECT_FALSE(read_config(dir_.path()));
}

TEST_F(ConfigTest, LocalStoresAreServedWithTheirKeys) {
    const std::string keys = dir_.write("keys", "k1 " + std::string(64, 'a') + "\n", 0640);
    const Config config = good(
        "[daemon]\nstate_dir = /srv/state\n[store.mine]\nkind = local\nroot = "
        "/srv/exports\nkey_file = " +
        keys + "\nbase_url = http://x\n[store.bucket]\nkind = s3\nprefix = s3://b/\n");
    ASSERT_EQ(config.downloads.size(), 1U);
    EXPECT_EQ(config.downloads[0].name, "mine");
    EXPECT_EQ(config.downloads[0].root, "/srv/exports");
    EXPECT_EQ(config.downloads[0].keys->current()->size(), 1U);
}

TEST_F(ConfigTest, ALocalStoreWithoutItsKeysIsRefused) {
    const auto missing =
        read_with_daemon("[store.mine]\nkind = local\nroot = /x\nkey_file = " + (dir_ / "none"));
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
    const std::string bad = dir_.write("bad", "k1 nothex\n", 0600);
    const auto refused =
        read_with_daemon("[store.mine]\nkind = local\nroot = /x\nkey_file = " + bad);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find(bad), std::string::npos);
    EXPECT_EQ(refused.error().message.find("nothex"), std::string::npos);
}

TEST_F(ConfigTest, CurveNeedsBothKeys) {
    const transport::CurveKeys keys = transport::make_curve_keys();
    const std::string secret = dir_.write("secret", keys.secret_key + "\n", 0600);
    const std::string server = dir_.write("server", keys.public_key + "\n");
    const Config config =
        good("[daemon]\nstate_dir = /srv/state\n[http]\ncurve_key_file = " + secret +
             "\ncurve_server_key_file = " + server + "\n");
    ASSERT_TRUE(config.curve);
    EXPECT_EQ(config.curve->server_key, keys.public_key);
    EXPECT_FALSE(read_with_daemon("[http]\ncurve_key_file = " + secret + "\n"));
    EXPECT_FALSE(read_with_daemon("[http]\ncurve_server_key_file = " + server + "\n"));
    const std::string no_key = dir_.write("no_key", "x\n", 0600);
    EXPECT_FALSE(read_with_daemon("[http]\ncurve_key_file = " + no_key +
                                  "\ncurve_server_key_file = " + server + "\n"));
}

}  // namespace
}  // namespace export_worker::http_shim
