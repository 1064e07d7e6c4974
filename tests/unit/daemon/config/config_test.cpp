#include "daemon/config/config.hpp"

#include <gtest/gtest.h>

#include "daemon/credentials/credential_store.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::config {
namespace {

using testing::TempDir;

const std::string kGood =
    "[daemon]\nstate_dir = /var/lib/ew\nworkers = 2\ndata_socket_mode = 0666\n"
    "[store.files]\nkind = local\nroot = /srv/exports/\nbase_url = https://d.example\nkey_file = "
    "/etc/keys\n"
    "[store.bucket]\nkind = s3\nprefix = s3://merchant/\nregion = eu-central-1\naccess_key_id = "
    "AKIA\nsecret_access_key_file = /etc/secret\n"
    "[plugin.download_url]\nfile = /usr/lib/download_url.so\ncolour = blue\n";

std::string error_of(const std::string& text) {
    const TempDir dir;
    const auto config = read_config(dir.write("c.ini", text));
    return config ? "" : config.error().message;
}

TEST(Config, ReadsEverySection) {
    const TempDir dir;
    const auto config = read_config(dir.write("c.ini", kGood));
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->data_endpoint, "ipc:///var/lib/ew/run/data.sock");
    EXPECT_EQ(config->server_workers, 2U);
    EXPECT_EQ(config->data_socket_mode, 0666U);
    EXPECT_EQ(config->export_store, "files");
    EXPECT_EQ(config->export_root, "/srv/exports");
    ASSERT_EQ(config->stores.size(), 2U);
    EXPECT_EQ(config->stores[0].values.at("link_lifetime_s"), "900");
    EXPECT_FALSE(config->stores[0].values.contains("access_key_id"));
    EXPECT_EQ(config->plugins[0].values.at("colour"), "blue");
}

TEST(Config, RefusesWhatCannotWork) {
    EXPECT_NE(error_of("").find("state_dir"), std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir = relative\n").find("absolute"), std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir = /x\n").find("exports need a place to go"),
              std::string::npos);
    EXPECT_EQ(error_of("[daemon]\nstate_dir = /x\n[export]\nworkers = 0\n"), "");
    EXPECT_NE(error_of(kGood + "[export]\nstore = bucket\n").find("kind = local"),
              std::string::npos);
    EXPECT_NE(error_of(kGood + "[daemn]\nx = 1\n").find("[daemn]"), std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir=/x\nworkers=many\n[export]\nworkers=0\n")
                  .find("from 1 to 64"),
              std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir=/x\ndata_socket_mode=999\n[export]\nworkers=0\n")
                  .find("octal"),
              std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir=/x\n[export]\nworkers=0\n[store.a]\nkind=ftp\n")
                  .find("expected one of local, s3"),
              std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir=/"
                       "x\n[export]\nworkers=0\n[store.a]\nkind=s3\nregion=x\nprefix="
                       "merchant\naccess_key_id=a\nsecret_access_key_file=/k\n")
                  .find("s3://BUCKET/"),
              std::string::npos);
    EXPECT_NE(
        error_of("[daemon]\nstate_dir=/x\n[export]\nworkers=0\n[store.a]\nkind=s3\nregoin=x\n")
            .find("regoin"),
        std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir=/x\n[export]\nworkers=0\n[plugin.p]\nfile=p.so\n")
                  .find("absolute"),
              std::string::npos);
}

model::StoreSettings local_store(const std::string& key_file) {
    model::StoreSettings store;
    store.name = "files";
    store.kind = "local";
    store.key_file = key_file;
    return store;
}

TEST(Credentials, AreReadFromFilesAndNeverRepeatedInErrors) {
    const TempDir dir;
    const auto good = credentials::CredentialStore::load(
        {local_store(dir.write("k", "k1 " + std::string(32, 'a') + "\n"))});
    ASSERT_TRUE(good);
    EXPECT_EQ(good->find("files")->key_id, "k1");
    EXPECT_EQ(good->find("other"), nullptr);
    for (const std::string& file : {dir / "missing", dir.write("short", "k1 c0ffee\n"),
                                    dir.write("open", "k1 " + std::string(32, 'a'), 0644)}) {
        const auto bad = credentials::CredentialStore::load({local_store(file)});
        ASSERT_FALSE(bad) << file;
        EXPECT_NE(bad.error().message.find("[store.files]"), std::string::npos);
        EXPECT_NE(bad.error().message.find(file), std::string::npos);
        EXPECT_EQ(bad.error().message.find("c0ffee"), std::string::npos);
    }
}

TEST(Config, ReloadsHaveBoundsAndDefaults) {
    const TempDir dir;
    EXPECT_EQ(read_config(dir.write("c.ini", kGood))->reload.bake_s, 60U);
    const auto config = read_config(dir.write(
        "c.ini", kGood + "golden_file = /etc/golden.jsonl\n[plugins]\nbake_s = 0\nretire = "
                         "unmap\nwatch = on\nallow_needed = liba.so.1 libb.so.2\n"));
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->reload.bake_s, 0U);
    EXPECT_TRUE(config->reload.unmap);
    EXPECT_TRUE(config->reload.watch);
    EXPECT_EQ(config->reload.allow_needed, (std::vector<std::string>{"liba.so.1", "libb.so.2"}));
    EXPECT_EQ(config->plugins[0].golden_file, "/etc/golden.jsonl");
    EXPECT_FALSE(config->plugins[0].values.contains("golden_file"));
    for (const auto& [line, text] :
         {std::pair{"[plugins]\nretire = burn\n", "park"},
          {"[plugins]\ngenerations_max = 1\n", "2 to 1024"},
          {"[plugins]\nprobe_timeout_s = 0\n", "1 to 300"},
          {"[plugins]\nbake_ss = 5\n", "did you mean 'bake_s'"},
          {"golden_file = relative.jsonl\n", "expected an absolute path"}}) {
        EXPECT_NE(error_of(kGood + line).find(text), std::string::npos) << error_of(kGood + line);
    }
}

TEST(Credentials, S3ComesFromFilesOrTheEnvironment) {
    const TempDir dir;
    model::StoreSettings store;
    store.name = "b";
    store.kind = "s3";
    store.credentials_source = "static";
    store.access_key_id = "AKIA";
    store.secret_key_file = dir.write("s", "secret\n");
    store.session_token_file = dir.write("t", "token");
    const auto good = credentials::CredentialStore::load({store});
    ASSERT_TRUE(good);
    EXPECT_EQ(good->find("b")->secret, "secret");
    EXPECT_EQ(good->find("b")->session_token, "token");
    store.credentials_source = "environment";
    ::unsetenv("AWS_ACCESS_KEY_ID");
    EXPECT_NE(credentials::CredentialStore::load({store}).error().message.find("AWS_ACCESS_KEY_ID"),
              std::string::npos);
    ::setenv("AWS_ACCESS_KEY_ID", "E", 1);
    ::setenv("AWS_SECRET_ACCESS_KEY", "S", 1);
    EXPECT_EQ(credentials::CredentialStore::load({store})->find("b")->key_id, "E");
    ::unsetenv("AWS_ACCESS_KEY_ID");
    ::unsetenv("AWS_SECRET_ACCESS_KEY");
}

}  // namespace
}  // namespace export_worker::config
