#include "daemon/credentials/credential_store.hpp"
#include "base/json.hpp"
#include "daemon/credentials/limits.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <mutex>

#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/http_server.hpp"
#include "tests/unit/support/temp_dir.hpp"
#include "tests/unit/support/test_keys.hpp"

namespace export_worker::credentials {
namespace {

using nlohmann::json;
using testing::eventually;
using testing::HttpServer;
using testing::TempDir;

// Variables of the environment for one test; as they were afterwards.
class Environment {
public:
    void set(const char* name, const std::string& value) {
        remember(name);
        ::setenv(name, value.c_str(), 1);
    }
    void unset(const char* name) {
        remember(name);
        ::unsetenv(name);
    }
    Environment() {
        for (const char* name :
             {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
              "AWS_SHARED_CREDENTIALS_FILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
              "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
              "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
              "AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
              "GOOGLE_APPLICATION_CREDENTIALS", "AZURE_STORAGE_CONNECTION_STRING"})
            unset(name);
        set("HOME", "/nonexistent");
    }
    ~Environment() {
        for (const auto& [name, value] : before_) {
            if (value) {
                ::setenv(name.c_str(), value->c_str(), 1);
            } else {
                ::unsetenv(name.c_str());
            }
        }
    }

private:
    void remember(const char* name) {
        const char* value = std::getenv(name);
        before_.emplace(name, value == nullptr ? std::nullopt : std::optional<std::string>(value));
    }
    std::map<std::string, std::optional<std::string>> before_;
};

model::StoreSettings store_of(const std::string& kind, const std::string& source,
                              std::map<std::string, std::string> credentials = {},
                              std::map<std::string, std::string> values = {}) {
    model::StoreSettings out;
    out.name = "a";
    out.kind = kind;
    out.credentials_source = source;
    out.credentials = std::move(credentials);
    out.values = std::move(values);
    return out;
}

Result<Credentials> fetch(const model::StoreSettings& store) {
    const testing::FakeClock clock;
    return make_source(store, clock, nullptr)->fetch();
}

// Counted from where every fake clock starts.
std::string in(int seconds) {
    return to_iso8601(testing::FakeClock().unix_us() + seconds * std::int64_t{1'000'000});
}

std::string handed_out(const std::string& id, int seconds) {
    return json{{"Code", "Success"},
                {"AccessKeyId", id},
                {"SecretAccessKey", "S3CRET"},
                {"Token", "T0KEN"},
                {"Expiration", in(seconds)}}
        .dump();
}

class CredentialTest : public ::testing::Test {
protected:
    Environment environment_;
    const TempDir dir_;
    testing::FakeClock clock_;
};

TEST_F(CredentialTest, FilesOfEveryKindAreRead) {
    const std::string secret = dir_.write("secret", "secret\n");
    const auto fixed = fetch(store_of("s3", "static",
                                      {{"access_key_id", "AKIA"},
                                       {"secret_access_key_file", secret},
                                       {"session_token_file", dir_.write("t", "tok")}}));
    ASSERT_TRUE(fixed) << fixed.error().message;
    EXPECT_EQ(fixed->key_id + fixed->secret + fixed->session_token, "AKIAsecrettok");

    const auto local = fetch(store_of(
        "local", "key_file", {{"key_file", dir_.write("k", "k1 " + std::string(32, 'a') + "\n")}}));
    ASSERT_TRUE(local);
    EXPECT_EQ(local->key_id, "k1");

    const auto cdn = fetch(store_of(
        "cloudfront", "private_key",
        {{"key_pair_id", "K1"}, {"private_key_file", dir_.write("pem", testing::kEcKey)}}));
    ASSERT_TRUE(cdn);
    EXPECT_EQ(cdn->key_id, "K1");

    const std::string account =
        dir_.write("sa.json", json{{"type", "service_account"},
                                   {"client_email", "robot@project.iam.gserviceaccount.com"},
                                   {"private_key", testing::kRsaKey}}
                                  .dump());
    const auto google =
        fetch(store_of("gcs", "service_account", {{"service_account_file", account}}));
    ASSERT_TRUE(google) << google.error().message;
    EXPECT_EQ(google->key_id, "robot@project.iam.gserviceaccount.com");
    environment_.set("GOOGLE_APPLICATION_CREDENTIALS", account);
    EXPECT_TRUE(fetch(store_of("gcs", "service_account")));

    const std::string text =
        "DefaultEndpointsProtocol=https;AccountName=acct;AccountKey=c2VjcmV0a2V5;EndpointSuffix=x";
    const auto azure = fetch(store_of("azure", "connection_string",
                                      {{"connection_string_file", dir_.write("cs", text)}},
                                      {{"account", "acct"}}));
    ASSERT_TRUE(azure) << azure.error().message;
    EXPECT_EQ(azure->secret, "c2VjcmV0a2V5");
    environment_.set("AZURE_STORAGE_CONNECTION_STRING", text);
    EXPECT_TRUE(fetch(store_of("azure", "connection_string", {}, {{"account", "acct"}})));
}

TEST_F(CredentialTest, WhatIsWrongIsNamedAndNeverRepeated) {
    struct Case {
        model::StoreSettings store;
        std::string words;
    };
    const std::string federated =
        dir_.write("f.json", R"({"type":"external_account","SEKRET":"SEKRET"})");
    const std::vector<Case> cases{
        {store_of("s3", "static",
                  {{"access_key_id", "A"}, {"secret_access_key_file", dir_ / "missing"}}),
         "missing"},
        {store_of("s3", "static",
                  {{"access_key_id", "A"},
                   {"secret_access_key_file", dir_.write("open", "SEKRET", 0644)}}),
         "open"},
        {store_of("s3", "static",
                  {{"access_key_id", "A"},
                   {"secret_access_key_file", dir_.write("two", "SEKRET\nSEKRET\n")}}),
         "one line"},
        {store_of("s3", "environment"), "AWS_ACCESS_KEY_ID"},
        {store_of("local", "key_file", {{"key_file", dir_.write("short", "k1 c0ffee SEKRET\n")}}),
         "short"},
        {store_of("gcs", "service_account"), "GOOGLE_APPLICATION_CREDENTIALS"},
        {store_of("gcs", "service_account", {{"service_account_file", federated}}),
         "external_account"},
        {store_of("gcs", "service_account",
                  {{"service_account_file", dir_.write("n.json", "SEKRET")}}),
         "JSON object"},
        {store_of("gcs", "service_account",
                  {{"service_account_file",
                    dir_.write("k.json", R"({"type":"service_account","client_email":"a@b",
                                            "private_key":"SEKRET"})")}}),
         "private_key"},
        {store_of("azure", "account_key", {{"account_key_file", dir_.write("a", "!SEKRET!")}},
                  {{"account", "acct"}}),
         "base64"},
        {store_of(
             "azure", "connection_string",
             {{"connection_string_file", dir_.write("c", "AccountName=other;AccountKey=U0VLUkVU")}},
             {{"account", "acct"}}),
         "AccountName=acct"},
        {store_of("azure", "connection_string",
                  {{"connection_string_file", dir_.write("d", "SEKRET")}}, {{"account", "acct"}}),
         "AccountKey"},
        {store_of("azure", "connection_string", {}, {{"account", "acct"}}),
         "expected connection_string_file or the variable AZURE_STORAGE_CONNECTION_STRING"},
        {store_of("cloudfront", "private_key",
                  {{"key_pair_id", "K"}, {"private_key_file", dir_.write("e", "SEKRET")}}),
         "PEM"},
    };
    for (const Case& each : cases) {
        const auto fetched = fetch(each.store);
        ASSERT_FALSE(fetched) << each.words;
        EXPECT_NE(fetched.error().message.find(each.words), std::string::npos)
            << fetched.error().message;
        EXPECT_EQ(fetched.error().message.find("SEKRET"), std::string::npos)
            << fetched.error().message;
    }
}

TEST_F(CredentialTest, AProfileOfTheSharedFile) {
    const std::string path = dir_.write("credentials",
                                        "# a comment\n[default]\naws_access_key_id = D\n"
                                        "aws_secret_access_key=DS\n\n[ other ]\r\n"
                                        "aws_access_key_id=O\r\naws_secret_access_key = a=b/+#\r\n"
                                        "aws_session_token = T\r\n[job]\ncredential_process = x\n"
                                        "SEKRET line\n[empty]\n");
    const auto of = [&](const std::string& profile) {
        return fetch(store_of("s3", "profile", {{"credentials_file", path}, {"profile", profile}}));
    };
    EXPECT_EQ(of("default")->secret, "DS");
    EXPECT_EQ(of("other")->secret, "a=b/+#");
    EXPECT_EQ(of("other")->session_token, "T");
    EXPECT_NE(of("job").error().message.find("credential_process"), std::string::npos);
    EXPECT_NE(of("none").error().message.find("no profile 'none'"), std::string::npos);
    EXPECT_FALSE(of("empty"));
    for (const char* name : {"job", "none", "empty"})
        EXPECT_EQ(of(name).error().message.find("SEKRET"), std::string::npos);
    environment_.set("AWS_SHARED_CREDENTIALS_FILE", path);
    environment_.set("AWS_PROFILE", "other");
    EXPECT_EQ(fetch(store_of("s3", "profile"))->key_id, "O");
}

TEST_F(CredentialTest, AnInstanceIsAskedWithASessionToken) {
    HttpServer server([](const HttpServer::Request& request) {
        const bool has_token = request.headers.contains("x-aws-ec2-metadata-token") &&
                               request.headers.at("x-aws-ec2-metadata-token") == "session";
        if (request.target == "/latest/api/token")
            return HttpServer::Response{request.method == "PUT" ? 200 : 405, "session", {}};
        if (!has_token) return HttpServer::Response{401, "", {}};
        if (request.target == "/latest/meta-data/iam/security-credentials/")
            return HttpServer::Response{200, "my-role\n", {}};
        if (request.target == "/latest/meta-data/iam/security-credentials/my-role")
            return HttpServer::Response{200, handed_out("INSTANCE", 3600), {}};
        return HttpServer::Response{404, "", {}};
    });
    const auto store = store_of("s3", "instance", {{"metadata_endpoint", server.url() + "/"}});
    const auto fetched = fetch(store);
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_EQ(fetched->key_id, "INSTANCE");
    EXPECT_EQ(fetched->session_token, "T0KEN");
    EXPECT_GT(fetched->expires_unix_us, testing::FakeClock().unix_us() + 3'500'000'000);
    environment_.set("AWS_EC2_METADATA_DISABLED", "true");
    EXPECT_EQ(fetch(store).error().code, ErrorCode::kFailedPrecondition);
}

TEST_F(CredentialTest, AnInstanceWithoutASessionTokenIsNotAskedFurther) {
    HttpServer server([](const HttpServer::Request&) { return HttpServer::Response{}; });
    const auto fetched =
        fetch(store_of("s3", "instance", {{"metadata_endpoint", server.url() + "/"}}));
    ASSERT_FALSE(fetched);
    EXPECT_EQ(fetched.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(fetched.error().message.find("the instance's metadata: expected a token"),
              std::string::npos)
        << fetched.error().message;
    EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(CredentialTest, AContainerIsAskedWithItsToken) {
    HttpServer server([](const HttpServer::Request& request) {
        const bool good = request.headers.contains("authorization") &&
                          request.headers.at("authorization") == "Bearer abc";
        return HttpServer::Response{good ? 200 : 403, handed_out("CONTAINER", 3600), {}};
    });
    environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url() + "/creds?id=1");
    EXPECT_NE(fetch(store_of("s3", "container")).error().message.find("403"), std::string::npos);
    environment_.set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", dir_.write("token", "Bearer abc\n"));
    const auto fetched = fetch(store_of("s3", "container"));
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_EQ(fetched->key_id, "CONTAINER");
    for (const char* far : {"http://example.com/creds", "http://127.evil.example/x",
                            "http://localhost.example/x", "ftp://localhost/x", "localhost"}) {
        environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", far);
        const Error refused = fetch(store_of("s3", "container")).error();
        EXPECT_EQ(refused.code, ErrorCode::kFailedPrecondition) << far;
        EXPECT_NE(refused.message.find("found '" + std::string(far) + "'"), std::string::npos);
    }
}

TEST_F(CredentialTest, AWebIdentityIsExchanged) {
    HttpServer server([](const HttpServer::Request& request) {
        if (request.body.find("WebIdentityToken=to%2Fken") == std::string::npos) {
            return HttpServer::Response{
                400,
                "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>",
                {}};
        }
        return HttpServer::Response{
            200,
            "<AssumeRoleWithWebIdentityResponse "
            "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
            "<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>WEB</AccessKeyId>"
            "<SecretAccessKey>S</SecretAccessKey><SessionToken>T</SessionToken><Expiration>" +
                in(900) +
                "</Expiration></Credentials></AssumeRoleWithWebIdentityResult>"
                "</AssumeRoleWithWebIdentityResponse>",
            {}};
    });
    const std::string token = dir_.write("token", "to/ken\n", 0644);
    auto store = store_of("s3", "web_identity",
                          {{"role_arn", "arn:aws:iam::1:role/x"},
                           {"web_identity_token_file", token},
                           {"sts_endpoint", server.url()}},
                          {{"region", "eu-central-1"}});
    const auto fetched = fetch(store);
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_EQ(fetched->key_id, "WEB");
    EXPECT_NE(server.requests()[0].body.find("RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx"),
              std::string::npos);
    EXPECT_EQ(server.requests()[0].target, "/");
    dir_.write("token", "SEKRET", 0644);
    const auto refused = fetch(store);
    EXPECT_NE(refused.error().message.find("InvalidIdentityToken"), std::string::npos);
    EXPECT_EQ(refused.error().message.find("SEKRET"), std::string::npos);
}

TEST_F(CredentialTest, AnswersThatMisbehaveAreNotCredentials) {
    std::mutex mutex;
    HttpServer::Response next;  // Guarded by mutex.
    HttpServer server([&](const HttpServer::Request&) {
        const std::lock_guard lock(mutex);
        return next;
    });
    environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
    const auto refused = [&](HttpServer::Response response) {
        {
            const std::lock_guard lock(mutex);
            next = std::move(response);
        }
        const auto fetched = fetch(store_of("s3", "container"));
        EXPECT_FALSE(fetched);
        EXPECT_EQ(fetched.error().code, ErrorCode::kUnavailable);
        EXPECT_EQ(fetched.error().message.find("S3CRET"), std::string::npos);
        return fetched.error().message;
    };
    EXPECT_NE(refused({500, "S3CRET", {}}).find("500"), std::string::npos);
    EXPECT_NE(refused({200, "S3CRET{", {}}).find("JSON"), std::string::npos);
    EXPECT_NE(refused({200, "[]", {}}).find("JSON"), std::string::npos);
    EXPECT_NE(refused({200, R"({"Code":"Failed"})", {}}).find("Failed"), std::string::npos);
    EXPECT_NE(refused({200, R"({"AccessKeyId":"A","SecretAccessKey":"S3CRET","Token":"T"})", {}})
                  .find("Expiration"),
              std::string::npos);
    EXPECT_NE(refused({200, handed_out("A", -10), {}}).find("expired"), std::string::npos);
    EXPECT_NE(
        refused({200, R"({"AccessKeyId":"A","SecretAccessKey":"S3CRET","Expiration":"soon"})", {}})
            .find("2026-01-31"),
        std::string::npos);
    const std::string good = handed_out("A", 3600);
    EXPECT_NE(
        refused({200, good + std::string(64 * 1024 - good.size() + 1, ' '), {}}).find("limit"),
        std::string::npos);
    HttpServer::Response hung;
    hung.hang_up = true;
    EXPECT_FALSE(refused(std::move(hung)).empty());
}

TEST_F(CredentialTest, TheDefaultChainTakesTheFirstThatIsSetUp) {
    const auto store = store_of("s3", "default", {}, {{"region", "eu-central-1"}});
    environment_.set("AWS_EC2_METADATA_DISABLED", "true");
    EXPECT_EQ(fetch(store).error().code, ErrorCode::kFailedPrecondition);
    HttpServer server([](const HttpServer::Request&) {
        return HttpServer::Response{200, handed_out("C", 60), {}};
    });
    environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
    EXPECT_EQ(fetch(store)->key_id, "C");
    environment_.set("AWS_SHARED_CREDENTIALS_FILE",
                     dir_.write("c", "[default]\naws_access_key_id=P\naws_secret_access_key=S\n"));
    EXPECT_EQ(fetch(store)->key_id, "P");
    environment_.set("AWS_ACCESS_KEY_ID", "E");
    environment_.set("AWS_SECRET_ACCESS_KEY", "S");
    EXPECT_EQ(fetch(store)->key_id, "E");
}

std::string key_of(const CredentialStore& store) {
    const auto set = store.snapshot();
    const auto found = set->by_store.find("a");
    return found == set->by_store.end() ? "" : found->second.key_id;
}

TEST_F(CredentialTest, AChangedFileIsTakenByItselfAndABadOneIsNot) {
    const std::string path = dir_.write("k", "k1 " + std::string(32, 'a') + "\n");
    const auto store =
        CredentialStore::load({store_of("local", "key_file", {{"key_file", path}})}, clock_);
    ASSERT_TRUE(store) << store.error().message;
    (*store)->start();
    const auto first = (*store)->snapshot();
    dir_.write("k", "k2 " + std::string(32, 'b') + "\n");
    EXPECT_TRUE(eventually([&] { return key_of(**store) == "k2"; }));
    EXPECT_EQ(first->by_store.at("a").key_id, "k1");  // Whoever holds it goes on with it.
    EXPECT_NE((*store)->sequence(), first->sequence);
    dir_.write("k", "rubbish");
    EXPECT_TRUE(eventually([&] { return !(*store)->states().at(0).error.empty(); }));
    EXPECT_EQ(key_of(**store), "k2");
    EXPECT_TRUE((*store)->states().at(0).usable);
    EXPECT_FALSE((*store)->renew());
    dir_.write("k", "k3 " + std::string(32, 'c') + "\n");
    EXPECT_TRUE((*store)->renew());
    EXPECT_EQ(key_of(**store), "k3");
}

TEST_F(CredentialTest, WhoIsAwayAtTheStartIsAskedAgain) {
    std::atomic<bool> up{false};
    HttpServer server([&](const HttpServer::Request&) {
        return up ? HttpServer::Response{200, handed_out("LATE", 3600), {}}
                  : HttpServer::Response{500, "", {}};
    });
    environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
    const auto store = CredentialStore::load({store_of("s3", "container")}, clock_);
    ASSERT_TRUE(store) << store.error().message;
    EXPECT_EQ(key_of(**store), "");
    EXPECT_TRUE((*store)->knows("a"));
    EXPECT_FALSE((*store)->states().at(0).usable);
    (*store)->start();
    up = true;
    clock_.advance(2 * limits::kCredentialRetryMin);
    EXPECT_TRUE(eventually([&] { return key_of(**store) == "LATE"; }));
    EXPECT_TRUE((*store)->states().at(0).usable);
}

TEST_F(CredentialTest, TheyAreRenewedBeforeTheyEnd) {
    std::atomic<int> asked{0};
    // Good for a second less than they are renewed ahead of, so at once.
    HttpServer server([&](const HttpServer::Request&) {
        const int number = ++asked;
        return HttpServer::Response{
            200, handed_out("N" + std::to_string(number), number == 1 ? 299 : 3600), {}};
    });
    environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
    const auto store = CredentialStore::load({store_of("s3", "container")}, clock_);
    ASSERT_TRUE(store);
    const auto version = (*store)->snapshot()->by_store.at("a").version;
    (*store)->start();
    clock_.advance(limits::kCredentialRetryMin);  // New ones are not renewed sooner.
    EXPECT_TRUE(eventually([&] { return key_of(**store) == "N2"; }));
    EXPECT_NE((*store)->snapshot()->by_store.at("a").version, version);
    EXPECT_EQ(asked, 2);
}

TEST_F(CredentialTest, WhatHasEndedAndCannotBeRenewedIsNotUsable) {
    std::atomic<bool> up{true};
    HttpServer server([&](const HttpServer::Request&) {
        return up ? HttpServer::Response{200, handed_out("N", 600), {}}
                  : HttpServer::Response{500, "", {}};
    });
    environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
    const auto store = CredentialStore::load({store_of("s3", "container")}, clock_);
    ASSERT_TRUE(store);
    up = false;
    clock_.advance(std::chrono::seconds(500));
    EXPECT_FALSE((*store)->renew());
    EXPECT_TRUE((*store)->states().at(0).usable) << "they are good for another 100 s";
    (*store)->start();
    clock_.advance(std::chrono::seconds(101));
    EXPECT_TRUE(eventually([&] {
        clock_.advance(limits::kCredentialRetryMax);  // The next try.
        return !(*store)->states().at(0).usable;
    }));
    EXPECT_FALSE((*store)->states().at(0).error.empty());
}

TEST_F(CredentialTest, RefreshFirstRenewsAWholeLinkAhead) {
    std::atomic<int> asked{0};
    HttpServer server([&](const HttpServer::Request&) {
        const int number = ++asked;
        return HttpServer::Response{
            200, handed_out("N" + std::to_string(number), number == 1 ? 1000 : 90'000), {}};
    });
    environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
    const auto store = CredentialStore::load(
        {store_of("s3", "container", {},
                  {{"expiry_policy", "refresh-first"}, {"link_lifetime_s", "3600"}})},
        clock_);
    ASSERT_TRUE(store);
    (*store)->start();
    clock_.advance(limits::kCredentialRetryMin);  // New ones are not renewed sooner.
    EXPECT_TRUE(eventually([&] { return key_of(**store) == "N2"; }));
}

TEST_F(CredentialTest, AStoreThatIsStoppedDoesNotWaitForAnAnswer) {
    std::atomic<bool> slow{false};
    HttpServer server([&](const HttpServer::Request&) {
        HttpServer::Response out{200, handed_out("N", 299), {}};
        if (slow) out.delay = std::chrono::seconds(4);
        slow = true;
        return out;
    });
    environment_.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", server.url());
    auto store = CredentialStore::load({store_of("s3", "container")}, clock_);
    ASSERT_TRUE(store);
    (*store)->start();
    clock_.advance(limits::kCredentialRetryMin);
    EXPECT_TRUE(eventually([&] { return server.requests().size() == 2; }));
    const auto begun = std::chrono::steady_clock::now();
    store->reset();
    EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds(3));
}

}  // namespace
}  // namespace export_worker::credentials
