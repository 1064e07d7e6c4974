#include "daemon/config/config.hpp"

#include <gtest/gtest.h>

#include "daemon/config/limits.hpp"
#include "daemon/credentials/credential_store.hpp"
#include "daemon/model/limits.hpp"
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
    EXPECT_EQ(config->exports.store, "files");
    EXPECT_EQ(config->stores[1].values.at("root"), "/srv/exports");
    ASSERT_EQ(config->stores.size(), 2U);
    EXPECT_EQ(config->stores[0].values.at("link_lifetime_s"), "900");
    EXPECT_EQ(config->stores[0].credentials.at("access_key_id"), "AKIA");
    EXPECT_FALSE(config->stores[0].values.contains("access_key_id"));
    EXPECT_EQ(config->plugins[0].values.at("colour"), "blue");
}

TEST(Config, ExportsHaveADirectoryOfTheirOwn) {
    const auto with_root = [](const std::string& root) {
        return error_of("[daemon]\nstate_dir = /var/lib/ew\n[store.files]\nkind = local\nroot = " +
                        root + "\nbase_url = https://d.example\nkey_file = /etc/keys\n");
    };
    for (const char* taken :
         {"/var/lib/ew", "/var/lib/ew/", "/var", "/var/lib/ew/run", "/var/lib/ew/tmp/exports",
          "/var/lib/ew/plugins", "/var/lib/ew/backup/exports", "/var/lib/ew/restore"})
        EXPECT_NE(with_root(taken).find("root: expected a directory for exports alone"),
                  std::string::npos)
            << taken;
    for (const char* free : {"/var/lib/ew/exports", "/var/lib/ew/runs", "/var/lib/ew2"})
        EXPECT_EQ(with_root(free), "") << free;
}

TEST(Config, ASharedDatabaseNeedsFilesThatEveryDaemonFinds) {
    const std::string shared = "[database]\nkind = postgres\nconninfo = host=/run dbname=e\n";
    const std::string local =
        "[daemon]\nstate_dir = /x\n[store.files]\nkind = local\nroot = /srv\n"
        "base_url = https://d.example\nkey_file = /k\n";
    EXPECT_NE(error_of(shared + local).find("[export] store: with [database] kind = postgres"),
              std::string::npos)
        << error_of(shared + local);
    EXPECT_EQ(error_of(shared + local + "shared_root = on\n"), "");
    EXPECT_EQ(error_of(shared + local + "[export]\nworkers = 0\n"), "");
}

TEST(Config, TheKeysOfADatabaseAreRead) {
    const TempDir dir;
    const auto config = read_config(dir.write(
        "c.ini",
        "[daemon]\nstate_dir = /x\ninstance_name = w1\n[export]\nworkers = 0\n[database]\nkind = "
        "postgres\nconninfo = host=a,b dbname=e target_session_attrs=read-write\n"
        "direct_conninfo = host=c\npassword_file = /etc/p\nschema = s\nconnections = 3\npooler = "
        "transaction\nlease_s = 5\nrequire_synchronous = off\nlookup_cache = 0\n"));
    ASSERT_TRUE(config) << config.error().message;
    const DatabaseConfig& database = config->database;
    EXPECT_TRUE(database.is_shared);
    EXPECT_EQ(database.conninfo, "host=a,b dbname=e target_session_attrs=read-write");
    EXPECT_EQ(database.direct_conninfo, "host=c");
    EXPECT_EQ(database.password_file, "/etc/p");
    EXPECT_EQ(database.schema, "s");
    EXPECT_EQ(database.connections, 3U);
    EXPECT_TRUE(database.is_pooled);
    EXPECT_EQ(database.lease, std::chrono::seconds(5));
    EXPECT_FALSE(database.require_synchronous);
    EXPECT_EQ(database.lookup_cache, 0U);
    EXPECT_EQ(config->instance_name, "w1");
    EXPECT_EQ(config->server_workers, limits::kServerWorkersSharedDefault);
}

TEST(Config, KeysOfPostgresAreRefusedWithoutIt) {
    const std::string text = "[daemon]\nstate_dir = /x\n[export]\nworkers = 0\n[database]\n";
    EXPECT_NE(error_of(text + "schema = s\n").find("[database] schema: expected kind = postgres"),
              std::string::npos)
        << error_of(text + "schema = s\n");
    EXPECT_NE(error_of(text + "kind = postgres\n").find("[database] conninfo: missing"),
              std::string::npos)
        << error_of(text + "kind = postgres\n");
    EXPECT_NE(error_of(text + "kind = postgres\nconninfo = a\nlease_s = 2\n").find("5 to 60"),
              std::string::npos);
    EXPECT_EQ(error_of(text + "kind = sqlite\n"), "");
}

TEST(Config, AnInstanceHasAName) {
    const TempDir dir;
    const auto config =
        read_config(dir.write("c.ini", "[daemon]\nstate_dir = /x\n[export]\nworkers = 0\n"));
    EXPECT_FALSE(config->instance_name.empty());
    EXPECT_NE(error_of("[daemon]\nstate_dir = /x\ninstance_name = a b\n[export]\nworkers = 0\n")
                  .find("instance_name: expected 1 to 64 of"),
              std::string::npos);
}

// What the other keys of such a section mean is not known, nor which store exports were to go to.
TEST(Config, AMisspeltKindIsTheOnlyComplaint) {
    const TempDir dir;
    for (const char* kind : {"", "kind = lokal\n"}) {
        options::Problems problems;
        const auto config = read_config(
            dir.write("c.ini", "[daemon]\nstate_dir = /x\n[store.a]\n" + std::string(kind) +
                                   "root = /srv\nbase_url = https://d.example\nkey_file = /k\n"),
            &problems);
        ASSERT_TRUE(config) << config.error().message;
        ASSERT_EQ(problems.size(), 1U) << problems.back().message;
        EXPECT_NE(problems[0].message.find("[store.a] kind: "), std::string::npos)
            << problems[0].message;
    }
}

TEST(Config, NumbersHaveBounds) {
    const auto refused = [](const std::string& section, const std::string& line) {
        return error_of(kGood + "[" + section + "]\n" + line + "\n");
    };
    const std::string tcp =
        "tcp_endpoint = tcp://10.0.0.5:7411\ncurve_key_file = /k\ncurve_clients_file = /c\n";
    const auto of_tcp = [&](const std::string& line) {
        return error_of("[daemon]\nstate_dir = /x\n" + tcp + line + "\n[export]\nworkers = 0\n");
    };
    EXPECT_EQ(of_tcp("tcp_connections = 10000"), "");
    EXPECT_NE(of_tcp("tcp_connections = 10001").find("from 1 to 10000"), std::string::npos);
    EXPECT_NE(of_tcp("tcp_connections = 0").find("from 1 to 10000"), std::string::npos);
    // A token that is over must not be good for hours.
    EXPECT_EQ(refused("auth", "clock_tolerance_s = 300"), "");
    EXPECT_NE(refused("auth", "clock_tolerance_s = 301").find("0 to 300"), std::string::npos);
}

TEST(Config, RefusesWhatCannotWork) {
    EXPECT_NE(error_of("").find("found an empty file"), std::string::npos);
    EXPECT_NE(error_of("[daemon]\n").find("state_dir"), std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir = relative\n").find("absolute"), std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir = /x\n").find("exports need a place to go"),
              std::string::npos);
    EXPECT_EQ(error_of("[daemon]\nstate_dir = /x\n[export]\nworkers = 0\n"), "");
    EXPECT_EQ(error_of(kGood + "[export]\nstore = bucket\n"), "");
    EXPECT_NE(
        error_of(kGood + "[export]\nstore = nowhere\n").find("kind = local, s3, gcs or azure"),
        std::string::npos);
    EXPECT_NE(error_of(kGood + "[daemn]\nx = 1\n").find("[daemn]"), std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir=/x\nworkers=many\n[export]\nworkers=0\n")
                  .find("from 1 to 64"),
              std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir=/x\ndata_socket_mode=999\n[export]\nworkers=0\n")
                  .find("octal"),
              std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir=/x\n[export]\nworkers=0\n[store.a]\nkind=ftp\n")
                  .find("expected one of local, s3, gcs, azure, cloudfront"),
              std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir=/"
                       "x\n[export]\nworkers=0\n[store.a]\nkind=s3\nregion=x\nprefix="
                       "merchant\naccess_key_id=a\nsecret_access_key_file=/k\n")
                  .find("s3://NAME/"),
              std::string::npos);
    EXPECT_NE(
        error_of("[daemon]\nstate_dir=/x\n[export]\nworkers=0\n[store.a]\nkind=s3\nregoin=x\n")
            .find("regoin"),
        std::string::npos);
    EXPECT_NE(error_of("[daemon]\nstate_dir=/x\n[export]\nworkers=0\n[plugin.p]\nfile=p.so\n")
                  .find("absolute"),
              std::string::npos);
}

TEST(Config, EndpointsAndAddressesAreChecked) {
    const auto of_daemon = [](const std::string& key, const std::string& value) {
        return error_of("[daemon]\nstate_dir = /x\n" + key + " = " + value +
                        "\n[export]\nworkers = 0\n");
    };
    for (const char* key : {"data_endpoint", "control_endpoint", "notice_endpoint", "tcp_endpoint",
                            "metrics_listen", "log_level"}) {
        const std::string found = of_daemon(key, "abc");
        EXPECT_NE(found.find("[daemon] " + std::string(key) + ": "), std::string::npos) << found;
        EXPECT_NE(found.find("found 'abc'"), std::string::npos) << found;
    }
    EXPECT_NE(of_daemon("data_endpoint", "ipc:///" + std::string(200, 'x')).find("at most 107"),
              std::string::npos);
    for (const char* key : {"data_endpoint", "control_endpoint", "notice_endpoint"})
        EXPECT_EQ(of_daemon(key, "ipc:///run/x.sock"), "") << key;
    EXPECT_EQ(of_daemon("metrics_listen", "[::1]:9464"), "");
    for (const char* base_url : {"abc", "https://d.example/", "https://"}) {
        std::string text = kGood;
        const std::string good = "https://d.example";
        text.replace(text.find(good), good.size(), base_url);
        EXPECT_NE(error_of(text).find("[store.files] base_url: expected http"), std::string::npos)
            << error_of(text);
    }
}

TEST(Config, SessionsNeedEverythingThatVerifiesThem) {
    const auto refused = [](const std::string& lines) {
        return error_of(kGood + "[auth]\n" + lines);
    };
    const std::string jwt = "jwks_file = /j\nissuer = i\naudience = a\nroles_file = /r\n";
    const std::string asked =
        "session_url = https://idp.example/s\nsession_user = u\nsession_secret_file = /s\n"
        "roles_file = /r\n";
    EXPECT_EQ(refused(jwt), "");
    EXPECT_EQ(refused(asked), "");
    const auto without = [&](std::string lines, const std::string& key) {
        const std::size_t begin = lines.find(key + " = ");
        return refused(lines.erase(begin, lines.find('\n', begin) + 1 - begin));
    };
    for (const auto& [lines, key, words] :
         std::vector<std::tuple<std::string, const char*, const char*>>{
             {jwt, "issuer", "required when jwks_file or jwks_url is set"},
             {jwt, "audience", "required when jwks_file or jwks_url is set"},
             {jwt, "roles_file", "required with jwks_file, jwks_url or session_url"},
             {asked, "session_user", "required with session_url (HTTP Basic user name)"},
             {asked, "session_secret_file", "required with session_url (HTTP Basic password)"},
             {asked, "roles_file", "required with jwks_file, jwks_url or session_url"}}) {
        const std::string error = without(lines, key);
        EXPECT_NE(error.find(key), std::string::npos) << key << ": " << error;
        EXPECT_NE(error.find(words), std::string::npos) << key << ": " << error;
    }
    EXPECT_NE(refused(jwt + "ca_file = ca.pem\n").find("expected an absolute path, found 'ca.pem'"),
              std::string::npos);
    EXPECT_NE(refused(jwt + "jwks_url = http://10.0.0.1/j\n")
                  .find("expected an https URL, found 'http://10.0.0.1/j'"),
              std::string::npos);
    for (const char* local : {"http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/"})
        EXPECT_EQ(refused(jwt + "jwks_url = " + local + "\n"), "");
}

TEST(Config, StoresHaveAKindAndABoundedNumber) {
    const std::string daemon = "[daemon]\nstate_dir = /x\n[export]\nworkers = 0\n";
    EXPECT_NE(error_of(daemon + "[store.a]\nroot = /srv\n")
                  .find("missing; expected local, s3, gcs, azure or cloudfront"),
              std::string::npos);
    std::string stores = daemon;
    for (std::size_t index = 0; index < limits::kStoresMax; ++index)
        stores += "[store.s" + std::to_string(index) + "]\nkind = gcs\nprefix = gs://merchant" +
                  std::to_string(index) + "/\n";
    EXPECT_EQ(error_of(stores), "");
    EXPECT_NE(error_of(stores + "[store.more]\nkind = gcs\nprefix = gs://more/\n")
                  .find("expected at most " + std::to_string(limits::kStoresMax)),
              std::string::npos);
}

TEST(Config, ReloadsHaveBoundsAndDefaults) {
    const TempDir dir;
    EXPECT_EQ(read_config(dir.write("c.ini", kGood))->reload.bake_s, 60U);
    const auto config = read_config(
        dir.write("c.ini", kGood + "golden_file = /etc/golden.jsonl\nallow_imports = umask "
                                   "chdir\n[plugins]\nbake_s = 0\nretire = "
                                   "unmap\nwatch = on\nallow_needed = liba.so.1 libb.so.2\n"));
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(config->reload.bake_s, 0U);
    EXPECT_TRUE(config->reload.unmap);
    EXPECT_TRUE(config->reload.watch);
    EXPECT_EQ(config->reload.allow_needed, (std::vector<std::string>{"liba.so.1", "libb.so.2"}));
    EXPECT_EQ(config->plugins[0].golden_file, "/etc/golden.jsonl");
    EXPECT_FALSE(config->plugins[0].values.contains("golden_file"));
    EXPECT_EQ(config->plugins[0].allow_imports, (std::vector<std::string>{"umask", "chdir"}));
    EXPECT_FALSE(config->plugins[0].values.contains("allow_imports"));
    for (const auto& [line, text] :
         {std::pair{"[plugins]\nretire = burn\n", "park"},
          {"[plugins]\ngenerations_max = 1\n", "2 to 1024"},
          {"[plugins]\nprobe_timeout_s = 0\n", "1 to 300"},
          {"[plugins]\nbake_ss = 5\n", "did you mean 'bake_s'"},
          {"golden_file = relative.jsonl\n", "expected an absolute path"}}) {
        EXPECT_NE(error_of(kGood + line).find(text), std::string::npos) << error_of(kGood + line);
    }
}

// Each kind with the least it needs, and a word of what is refused.
TEST(Config, ExportsHaveBoundsAndDefaults) {
    const TempDir dir;
    const auto defaults = read_config(dir.write("c.ini", kGood));
    ASSERT_TRUE(defaults) << defaults.error().message;
    EXPECT_EQ(defaults->exports.attempts, limits::kJobAttemptsDefault);
    EXPECT_EQ(defaults->exports.organization_running_max, limits::kOrganizationRunningDefault);
    EXPECT_EQ(defaults->exports.file_retention, limits::kFileRetentionDefault);
    EXPECT_EQ(defaults->notice_endpoint, "");
    EXPECT_EQ(defaults->notice_socket_mode, 0660U);
    const auto given = read_config(
        dir.write("d.ini", kGood + "[export]\nattempts = 3\nretry_base_ms = 7\nretry_max_s = 8\n"
                                   "attempt_limit_s = 9\nstall_limit_s = 10\ndeadline_s = 0\n"
                                   "file_retention_s = 0\njob_retention_s = 13\n"
                                   "organization_running_max = 14\n"));
    ASSERT_TRUE(given) << given.error().message;
    EXPECT_EQ(given->exports.attempts, 3);
    EXPECT_EQ(given->exports.retry_base, std::chrono::milliseconds(7));
    EXPECT_EQ(given->exports.retry_max, std::chrono::seconds(8));
    EXPECT_EQ(given->exports.attempt_limit, std::chrono::seconds(9));
    EXPECT_EQ(given->exports.stall_limit, std::chrono::seconds(10));
    EXPECT_EQ(given->exports.deadline, std::chrono::seconds(0));
    EXPECT_EQ(given->exports.file_retention, std::chrono::seconds(0));
    EXPECT_EQ(given->exports.job_retention, std::chrono::seconds(13));
    EXPECT_EQ(given->exports.organization_running_max, 14);
    for (const char* wrong :
         {"attempts = 0", "attempts = 101", "retry_base_ms = 0", "retry_base_ms = 3600001",
          "retry_max_s = 0", "retry_max_s = 86401", "attempt_limit_s = 0", "stall_limit_s = 0",
          "deadline_s = -1", "deadline_s = 99999999999", "file_retention_s = soon",
          "job_retention_s = -1", "organization_running_max = 0",
          "organization_running_max = 1001"}) {
        const std::string error = error_of(kGood + "[export]\n" + wrong + "\n");
        const std::string key(wrong, std::string_view(wrong).find(' '));
        EXPECT_NE(error.find(key), std::string::npos) << wrong << ": " << error;
    }
}

TEST(Config, WebhooksAreOfOrganizations) {
    const TempDir dir;
    const std::string hook = "[webhook.acme]\nurl = https://h.example/x\nsecret_file = /etc/s\n";
    const auto config = read_config(dir.write("c.ini", kGood + hook));
    ASSERT_TRUE(config) << config.error().message;
    ASSERT_EQ(config->webhooks.size(), 1U);
    EXPECT_EQ(config->webhooks[0].organization_id, "acme");
    EXPECT_EQ(config->webhooks[0].url, "https://h.example/x");
    EXPECT_EQ(config->webhooks[0].secret_file, "/etc/s");
    EXPECT_FALSE(config->webhooks[0].allow_private);
    EXPECT_NE(error_of(kGood + "[webhook.acme]\nsecret_file = /etc/s\n").find("url"),
              std::string::npos);
    EXPECT_NE(error_of(kGood + "[webhook.acme]\nurl = https://h\n").find("secret_file"),
              std::string::npos);
    EXPECT_NE(error_of(kGood + "[webhook.acme]\nurl = ftp://h\nsecret_file = /etc/s\n")
                  .find("expected an http or https URL, found 'ftp://h'"),
              std::string::npos);
    EXPECT_NE(error_of(kGood + "[webhook.a/b]\nurl = https://h\nsecret_file = /etc/s\n")
                  .find("[webhook.ORGANIZATION]"),
              std::string::npos);
    EXPECT_NE(error_of(kGood + hook + "colour = blue\n").find("colour"), std::string::npos);
}

TEST(Config, KnowsEveryKindOfStore) {
    const std::string daemon = "[daemon]\nstate_dir = /x\n[export]\nworkers = 0\n[store.a]\n";
    for (const std::string store :
         {"kind = s3\nprefix = s3://merchant/\nregion = eu-central-1\ncredentials = default\n",
          "kind = s3\nprefix = s3://merchant/deep/\nregion = auto\ncredentials = instance\n"
          "metadata_endpoint = http://127.0.0.1:1\nendpoint = https://r2.example\npart_mib = 16\n",
          "kind = gcs\nprefix = gs://merchant/\n",
          "kind = gcs\nprefix = gs://merchant/\nstyle = bucket_bound\n"
          "public_endpoint = https://files.example.com\ncredentials = hmac\naccess_key_id = G\n"
          "secret_access_key_file = /s\n",
          "kind = azure\nprefix = az://exports/\naccount = acct\naccount_key_file = /k\n",
          "kind = azure\nprefix = az://exports/\naccount = acct\ncredentials = connection_string\n",
          "kind = cloudfront\nbase_url = https://d1.cloudfront.net\nprefix = s3://merchant/\n"
          "key_pair_id = K1\nprivate_key_file = /k\nhash = SHA1\nlink_window_s = 60\n"})
        EXPECT_EQ(error_of(daemon + store), "");
    for (const auto& [store, word] : std::vector<std::pair<std::string, std::string>>{
             {"kind = s3\nprefix = s3://m/../x/\nregion = r\ncredentials = default\n", "prefix"},
             {"kind = s3\nprefix = gs://merchant/\nregion = r\ncredentials = default\n", "s3://"},
             {"kind = s3\nprefix = s3://merchant/\nregion = r\ncredentials = magic\n",
              "web_identity"},
             {"kind = s3\nprefix = s3://merchant/\nregion = r\ncredentials = default\n"
              "addressing = diagonal\n",
              "virtual, path"},
             {"kind = s3\nprefix = s3://merchant/\nregion = r\ncredentials = default\n"
              "endpoint = http://10.0.0.1:9000\n",
              "addressing = path"},
             {"kind = s3\nprefix = s3://merchant/\nregion = r\ncredentials = default\n"
              "link_lifetime_s = 604800\nlink_window_s = 60\n",
              "link_window_s"},
             {"kind = s3\nprefix = s3://merchant/\nregion = r\ncredentials = default\n"
              "expiry_policy = hope\n",
              "refresh-first"},
             {"kind = s3\nprefix = s3://merchant/\nregion = r\ncredentials = default\n"
              "part_mib = 4\n",
              "5 to 64"},
             {"kind = gcs\nprefix = gs://merchant/\nstyle = bucket_bound\n", "public_endpoint"},
             {"kind = azure\nprefix = az://exports/\naccount_key_file = /k\n", "account"},
             {"kind = azure\nprefix = az://exports/\naccount = a\naccount_key_file = k\n",
              "absolute"},
             {"kind = cloudfront\nbase_url = d1.cloudfront.net\nkey_pair_id = K\n"
              "private_key_file = /k\n",
              "http"},
             {"kind = cloudfront\nbase_url = https://d1\nkey_pair_id = K\nprivate_key_file = /k\n"
              "prefix = s3://bucket\n",
              "slash"}})
        EXPECT_NE(error_of(daemon + store).find(word), std::string::npos)
            << store << error_of(daemon + store);
}

}  // namespace
}  // namespace export_worker::config
