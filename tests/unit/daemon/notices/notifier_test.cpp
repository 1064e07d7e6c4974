#include "daemon/notices/notifier.hpp"

#include <gtest/gtest.h>

#include <functional>

#include "base/json.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "daemon/notices/limits.hpp"
#include "daemon/notices/webhook.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/http_server.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::notices {
namespace {

using nlohmann::json;
using testing::eventually;
using testing::HttpServer;

constexpr const char* kSecret = "a webhook secret of enough bytes";

HttpServer::Response answer(int status) {
    HttpServer::Response out;
    out.status = status;
    return out;
}
HttpServer::Handler always(int status) {
    return [status](const HttpServer::Request&) { return answer(status); };
}

class NotifierTest : public ::testing::Test {
protected:
    // A job that ends at once leaves one notice.
    std::string end_a_job(const std::string& organization = "acme") {
        jobs::NewJob job;
        job.organization_id = organization;
        job.job_type = "export";
        job.runner = model::JobRunner::kExternal;
        const std::string id = jobs_->requests().create(job)->job.job_id;
        EXPECT_TRUE(
            jobs_->requests().request_cancel(model::OrganizationScope::every(), id, "test"));
        return id;
    }
    model::WebhookSettings webhook(const HttpServer& server,
                                   const std::string& organization = "acme") const {
        return {organization, server.url() + "/hook", secret_file_, true};
    }
    Result<std::unique_ptr<Notifier>> open(const std::vector<model::WebhookSettings>& webhooks) {
        return Notifier::open(clock_, jobs_->outbox(), webhooks, std::nullopt);
    }
    std::unique_ptr<Notifier> start(const std::vector<model::WebhookSettings>& webhooks) {
        auto notifier = open(webhooks);
        EXPECT_TRUE(notifier) << notifier.error().message;
        (*notifier)->start();
        return std::move(*notifier);
    }
    std::int64_t pending() { return jobs_->reader().counts()->notices_pending; }
    std::size_t due() { return jobs_->outbox().take_due_notices(1)->size(); }
    // So many deliveries have failed and are recorded.
    static bool has_failed(const Notifier& notifier, std::uint64_t tries) {
        return eventually([&] { return notifier.stats().retry.load() == tries; });
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    const std::string secret_file_ = dir_.write("secret", std::string(kSecret) + "\n");
    std::unique_ptr<jobs::JobStore> jobs_ =
        std::move(*jobs::open_sqlite_job_store(dir_ / "jobs.db", clock_));
};

TEST_F(NotifierTest, JobsThatEndedAreCountedByHow) {
    end_a_job();
    end_a_job("umbrella");
    const auto notifier = start({});
    const auto count_of = [&](model::JobStatus status) {
        return notifier->ends().jobs.at(static_cast<std::size_t>(status)).load();
    };
    EXPECT_TRUE(eventually([&] { return count_of(model::JobStatus::kCancelled) == 2; }));
    EXPECT_EQ(count_of(model::JobStatus::kCompleted), 0U);
    EXPECT_EQ(notifier->ends().files_withdrawn.load(), 0U);
}

TEST_F(NotifierTest, DeliversTheSignedNotice) {
    const HttpServer server(always(200));
    const std::string id = end_a_job();
    const auto notifier = start({webhook(server)});
    ASSERT_TRUE(eventually([&] { return pending() == 0; }));
    ASSERT_EQ(server.requests().size(), 1U);
    const HttpServer::Request request = server.requests().front();
    const json body = parse_json(request.body);
    EXPECT_EQ(body["job"]["job_id"], id);
    EXPECT_EQ(body["type"], "job.cancelled");
    EXPECT_EQ(body["organization_id"], "acme");
    EXPECT_EQ(body["event_id"], request.headers.at("export-worker-event"));
    // The line end behind the secret is no part of it.
    EXPECT_EQ(request.headers.at("export-worker-signature"),
              webhook_signature(kSecret, clock_.unix_us() / 1'000'000, request.body));
}

TEST_F(NotifierTest, AFailureIsTriedAgainLater) {
    std::atomic<int> status{503};
    const HttpServer server([&](const HttpServer::Request&) { return answer(status.load()); });
    end_a_job();
    const auto notifier = start({webhook(server)});
    ASSERT_TRUE(has_failed(*notifier, 1));
    EXPECT_EQ(pending(), 1);
    EXPECT_EQ(server.requests().size(), 1U);
    status = 200;
    clock_.advance(limits::kWebhookRetryBase);
    ASSERT_TRUE(eventually([&] { return pending() == 0; }));
    ASSERT_EQ(server.requests().size(), 2U);
    EXPECT_EQ(server.requests()[0].headers.at("export-worker-event"),
              server.requests()[1].headers.at("export-worker-event"));
}

TEST_F(NotifierTest, EveryFailureDoublesTheWaitUpToABound) {
    const HttpServer server(always(503));
    end_a_job();
    const auto notifier = start({webhook(server)});
    ASSERT_TRUE(has_failed(*notifier, 1));
    std::chrono::seconds wait = limits::kWebhookRetryBase;
    for (std::size_t tries = 2; tries < static_cast<std::size_t>(limits::kWebhookTriesMax);
         ++tries) {
        clock_.advance(wait - std::chrono::seconds(1));
        EXPECT_EQ(due(), 0U) << "before try " << tries;
        clock_.advance(std::chrono::seconds(1));
        ASSERT_TRUE(has_failed(*notifier, tries)) << tries;
        ASSERT_EQ(server.requests().size(), tries);
        wait = std::min(2 * wait, limits::kWebhookRetryMax);
    }
    EXPECT_EQ(wait, limits::kWebhookRetryMax);
}

TEST_F(NotifierTest, TheLastTryGivesItUp) {
    const HttpServer server(always(500));
    end_a_job();
    const auto notifier = start({webhook(server)});
    for (int tries = 1; tries < limits::kWebhookTriesMax; ++tries) {
        ASSERT_TRUE(has_failed(*notifier, static_cast<std::uint64_t>(tries))) << tries;
        ASSERT_EQ(pending(), 1) << tries;
        clock_.advance(limits::kWebhookRetryMax);
    }
    ASSERT_TRUE(eventually([&] { return pending() == 0; }));
    EXPECT_EQ(server.requests().size(), static_cast<std::size_t>(limits::kWebhookTriesMax));
}

TEST_F(NotifierTest, AReceiverThatIsGoneForGoodIsAskedOnce) {
    const HttpServer server(always(410));
    end_a_job();
    const auto notifier = start({webhook(server)});
    ASSERT_TRUE(eventually([&] { return pending() == 0; }));
    EXPECT_EQ(server.requests().size(), 1U);
}

TEST_F(NotifierTest, APrivateAddressIsNotContacted) {
    const HttpServer server(always(200));
    end_a_job();
    model::WebhookSettings settings = webhook(server);
    settings.allow_private = false;
    const auto notifier = start({settings});
    ASSERT_TRUE(eventually([&] { return pending() == 0; }));
    EXPECT_TRUE(server.requests().empty());
}

TEST_F(NotifierTest, AnOrganizationWithoutAWebhookIsDone) {
    const HttpServer server(always(200));
    end_a_job("umbrella");
    const auto notifier = start({webhook(server, "acme")});
    ASSERT_TRUE(eventually([&] { return pending() == 0; }));
    EXPECT_TRUE(server.requests().empty());
}

TEST_F(NotifierTest, NoticesGoToTheirOwnOrganizationOnly) {
    const HttpServer acme(always(200));
    const HttpServer umbrella(always(200));
    const std::string first = end_a_job("acme");
    const std::string second = end_a_job("umbrella");
    const auto notifier = start({webhook(acme, "acme"), webhook(umbrella, "umbrella")});
    ASSERT_TRUE(eventually([&] { return pending() == 0; }));
    ASSERT_EQ(acme.requests().size(), 1U);
    ASSERT_EQ(umbrella.requests().size(), 1U);
    EXPECT_EQ(parse_json(acme.requests()[0].body)["job"]["job_id"], first);
    EXPECT_EQ(parse_json(umbrella.requests()[0].body)["job"]["job_id"], second);
}

TEST_F(NotifierTest, AReceiverThatFailsDoesNotHoldUpOthers) {
    const HttpServer broken(always(500));
    const HttpServer working(always(200));
    for (int count = 0; count < 3; ++count) end_a_job("acme");
    end_a_job("umbrella");
    const auto notifier = start({webhook(broken, "acme"), webhook(working, "umbrella")});
    ASSERT_TRUE(has_failed(*notifier, 3));
    ASSERT_TRUE(eventually([&] { return pending() == 3; }));
    EXPECT_EQ(working.requests().size(), 1U);
    EXPECT_EQ(broken.requests().size(), 3U);
}

TEST_F(NotifierTest, AReceiverThatIsSilentDelaysNoOther) {
    const HttpServer silent([](const HttpServer::Request&) {
        HttpServer::Response late;
        late.delay = limits::kWebhookTimeout;
        return late;
    });
    const HttpServer working(always(200));
    for (int count = 0; count < 50; ++count) end_a_job("acme");
    const auto notifier = start({webhook(silent, "acme"), webhook(working, "umbrella")});
    ASSERT_TRUE(eventually([&] { return !silent.requests().empty(); }));
    const auto before = std::chrono::steady_clock::now();
    end_a_job("umbrella");
    ASSERT_TRUE(eventually([&] { return pending() == 50; }));
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(1));
    EXPECT_EQ(silent.requests().size(), 1U) << "one at a time";
}

TEST_F(NotifierTest, AReceiverGetsOneNoticeAfterTheOtherInTheirOrder) {
    const HttpServer server(always(200));
    std::vector<std::string> ids;
    for (int count = 0; count < 20; ++count) ids.push_back(end_a_job());
    // Another one, so that there are two threads.
    const auto notifier = start({webhook(server), webhook(server, "umbrella")});
    ASSERT_TRUE(eventually([&] { return pending() == 0; }));
    std::vector<std::string> got;
    for (const auto& request : server.requests())
        got.push_back(parse_json(request.body)["job"]["job_id"]);
    EXPECT_EQ(got, ids);
}

TEST_F(NotifierTest, EveryNoticeCountsAsPublishedWithoutASocket) {
    end_a_job();
    end_a_job();
    const auto notifier = start({});
    EXPECT_TRUE(eventually([&] { return jobs_->outbox().unpublished_notices()->empty(); }));
}

TEST_F(NotifierTest, EveryNoticeCountsAsPublishedWithoutASubscriber) {
    auto publisher =
        transport::PublisherSocket::open("ipc://" + dir_.path() + "/notices.sock", 0600);
    ASSERT_TRUE(publisher) << publisher.error().message;
    end_a_job();
    auto notifier = Notifier::open(clock_, jobs_->outbox(), {}, std::move(*publisher));
    ASSERT_TRUE(notifier);
    (*notifier)->start();
    EXPECT_TRUE(eventually([&] { return jobs_->outbox().unpublished_notices()->empty(); }));
}

TEST_F(NotifierTest, TheEndCutsARequestOffAndKeepsItsNotice) {
    const HttpServer server([](const HttpServer::Request&) {
        HttpServer::Response late;
        late.delay = limits::kWebhookTimeout;
        return late;
    });
    end_a_job();
    auto notifier = start({webhook(server)});
    ASSERT_TRUE(eventually([&] { return !server.requests().empty(); }));
    const auto before = std::chrono::steady_clock::now();
    notifier.reset();
    EXPECT_LT(std::chrono::steady_clock::now() - before, limits::kWebhookTimeout / 2);
    const auto kept = jobs_->outbox().take_due_notices(1);
    ASSERT_EQ(kept->size(), 1U) << "at once";
    EXPECT_EQ(kept->front().attempts, 0);
}

TEST_F(NotifierTest, SecretsAreReadAtTheStart) {
    const HttpServer server(always(200));
    model::WebhookSettings settings = webhook(server);
    settings.secret_file = dir_ / "none";
    EXPECT_EQ(open({settings}).error().code, ErrorCode::kNotFound);
    settings.secret_file =
        dir_.write("short", std::string(limits::kWebhookSecretBytesMin - 1, 's'));
    EXPECT_EQ(open({settings}).error().code, ErrorCode::kInvalidArgument);
    settings.secret_file =
        dir_.write("ends", std::string(limits::kWebhookSecretBytesMin - 1, 's') + "\n");
    EXPECT_EQ(open({settings}).error().code, ErrorCode::kInvalidArgument);
    settings.secret_file = dir_.write("open", kSecret, 0644);
    EXPECT_EQ(open({settings}).error().code, ErrorCode::kFailedPrecondition);
    settings.secret_file = dir_.path();
    EXPECT_FALSE(open({settings}));
}

}  // namespace
}  // namespace export_worker::notices
