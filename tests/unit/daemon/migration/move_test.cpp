// A registry with jobs of every kind, before and after its move. What a kill leaves is shown on the
// programs (tests/functional/test_migrate.py).
#include "daemon/migration/move.hpp"

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <functional>
#include <map>

#include "base/json.hpp"
#include "daemon/auth/postgres/postgres_auth_store.hpp"
#include "daemon/auth/sqlite/sqlite_auth_store.hpp"
#include "daemon/catalog/postgres/postgres_catalog_store.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/cluster/membership.hpp"
#include "daemon/jobs/postgres/postgres_job_store.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "daemon/sqlite/database.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/postgres_server.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::migration {
namespace {

using jobs::ClaimedJob;
using jobs::NewJob;
using model::Job;
using model::JobRunner;
using model::OrganizationScope;
using std::chrono::seconds;

const OrganizationScope kEvery = OrganizationScope::every();
const jobs::JobPolicy kPolicy{
    .attempts_max = 3, .organization_running_max = 100, .version = "test"};

// Both are what the files and the schema hold; a store's own are closed.
struct Registry {
    std::unique_ptr<cluster::Membership> membership;
    std::unique_ptr<jobs::JobStore> jobs;
    std::unique_ptr<catalog::CatalogStore> catalog;
    std::unique_ptr<auth::AuthStore> auth;
};

class Move : public testing::PostgresTest {
protected:
    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        request_ = {dir_.path(), dir_.path() + "/moved-to-postgres", options_.connect,
                    &system_clock(), [](const char*, const char*, std::int64_t) {}};
    }
    Registry open_files() {
        Registry out;
        const std::string at = dir_.path() + "/";
        const auto unsynced = sqlite::Durability::kUnsyncedForTest;
        out.jobs = std::move(
            *jobs::open_sqlite_job_store(at + "jobs.db", system_clock(), kPolicy, unsynced));
        out.catalog = std::move(
            *catalog::open_sqlite_catalog_store(at + "catalog.db", system_clock(), unsynced));
        out.auth = std::move(*auth::open_sqlite_auth_store(at + "auth.db", unsynced));
        return out;
    }
    Registry open_schema() {
        Registry out;
        auto joined =
            cluster::Membership::join({.database = options_, .name = "test"}, system_clock());
        EXPECT_TRUE(joined) << joined.error().message;
        out.membership = std::move(*joined);
        out.jobs = std::move(
            *jobs::open_postgres_job_store({options_}, *out.membership, system_clock(), kPolicy));
        out.catalog = std::move(*catalog::open_postgres_catalog_store(options_));
        out.auth = std::move(*auth::open_postgres_auth_store(options_, *out.membership));
        return out;
    }
    void execute(const std::string& file, const std::string& sql) {
        auto connection = sqlite::Connection::open(dir_.path() + "/" + file,
                                                   sqlite::Connection::Mode::kReadWrite);
        ASSERT_TRUE(connection) << connection.error().message;
        const auto done = (*connection)->execute(sql);
        ASSERT_TRUE(done) << done.error().message;
    }
    // Small ones of all three.
    void make_files() {
        Registry files = open_files();
        submit(files, "acme");
    }
    static Job submit(Registry& registry, const std::string& organization,
                      const std::function<void(NewJob&)>& change = {}) {
        NewJob job;
        job.organization_id = organization;
        job.job_type = model::kExportJobType;
        job.total_items = 10;
        job.submitted_by = "key-1";
        if (change) change(job);
        auto created = registry.jobs->requests().create(std::move(job));
        EXPECT_TRUE(created) << created.error().message;
        return created ? created->job : Job();
    }
    static ClaimedJob claim(Registry& registry) {
        auto claimed = registry.jobs->queue().claim();
        EXPECT_TRUE(claimed && claimed->has_value());
        return **claimed;
    }
    static model::JobEntry entry(const std::string& key, const std::string& message) {
        model::JobEntry out;
        out.entity_key = key;
        out.message = message;
        return out;
    }
    static void finish(Registry& registry, const ClaimedJob& job) {
        jobs::Completion done;
        done.file = {"acme/" + job.lease.job_id + "." + std::to_string(job.lease.epoch) + ".csv",
                     "file:///x/" + job.lease.job_id, 42, "ab"};
        done.filename = "Stühle 🪑.csv";
        done.metadata_json = R"({"rows": 7, "content_type": "text/csv", "sha256": "ab"})";
        done.processed_items = 10;
        done.failed_items = 1;
        done.errors = {entry("k\xc3\xa4", "wrong")};
        done.warnings = {entry("w", "odd")};
        ASSERT_TRUE(registry.jobs->queue().intend_file(job.lease, done.file.key));
        ASSERT_TRUE(registry.jobs->queue().complete(job.lease, done));
    }
    // Of every state and kind; their ids by what they are.
    static std::map<std::string, std::string> make_jobs(Registry& registry) {
        std::map<std::string, std::string> out;
        auto& requests = registry.jobs->requests();
        out["done"] = submit(registry, "acme", [](NewJob& job) {
                          job.metadata_json = R"({"note": "ä\u0000"})";
                      }).job_id;
        finish(registry, claim(registry));
        out["withdrawn"] = submit(registry, "acme").job_id;
        const ClaimedJob withdrawn = claim(registry);
        finish(registry, withdrawn);
        EXPECT_TRUE(registry.jobs->files().withdraw_file(
            "acme/" + out["withdrawn"] + "." + std::to_string(withdrawn.lease.epoch) + ".csv",
            "lost"));
        out["failed"] = submit(registry, "acme").job_id;
        EXPECT_TRUE(
            registry.jobs->queue().give_up_attempt(claim(registry).lease, "broken", true, 0));
        out["retried"] =
            submit(registry, "acme", [](NewJob& job) { job.deadline = seconds(900); }).job_id;
        EXPECT_TRUE(registry.jobs->queue().give_up_attempt(claim(registry).lease, "later", false,
                                                           60'000'000));
        out["cancelled"] = submit(registry, "zeta").job_id;
        EXPECT_TRUE(requests.request_cancel(kEvery, out["cancelled"], "key-1"));
        out["cancel_requested"] = submit(registry, "acme").job_id;
        (void)claim(registry);
        EXPECT_TRUE(requests.request_cancel(kEvery, out["cancel_requested"], "key-1"));
        out["running"] = submit(registry, "acme", [](NewJob& job) {
                             job.priority = model::JobPriority::kHigh;
                         }).job_id;
        const ClaimedJob running = claim(registry);
        EXPECT_TRUE(registry.jobs->queue().intend_file(running.lease, "acme/unfinished.csv"));
        out["held"] =
            submit(registry, "acme", [](NewJob& job) { job.deadline = seconds(60); }).job_id;
        EXPECT_TRUE(requests.hold(kEvery, out["held"], "key-1"));
        out["scheduled"] = submit(registry, "acme", [](NewJob& job) {
                               job.start_unix_us = system_clock().unix_us() + 3'600'000'000;
                               job.deadline = seconds(120);
                           }).job_id;
        out["keyed"] = submit(registry, "acme", [](NewJob& job) {
                           job.idempotency_key = "once";
                           job.request_sha256 = std::string(64, 'a');
                           job.trace_id = std::string(32, 'b');
                       }).job_id;
        out["external"] = submit(registry, "beta", [](NewJob& job) {
                              job.job_type = "label_print";
                              job.runner = JobRunner::kExternal;
                              job.silence_limit = seconds(300);
                          }).job_id;
        jobs::ProgressReport report;
        report.report_id = "r1";
        report.mark_started = true;
        report.processed_items = 3;
        report.message = std::string("a\0b\xff c", 6);
        report.error = entry("", "e");
        EXPECT_TRUE(requests.report(kEvery, out["external"], report, "key-1"));
        const std::array accesses{jobs::JobAccess{out["done"], "link_minted", "key-1", 4},
                                  jobs::JobAccess{out["done"], "downloaded", "anyone", 2}};
        EXPECT_TRUE(registry.jobs->accesses().add(accesses));
        EXPECT_TRUE(registry.jobs->organizations().set_organization(
            {"zeta", 2, 3, true, 100, 1'000'000, 5}));
        return out;
    }
    static void make_catalog(Registry& registry) {
        model::Product product;
        product.key = "k\xc3\xbc 1";
        product.product_type = "chair";
        product.body = R"({"key": "x", "name": "\u0000 ä"})";
        const std::array products{product};
        const std::array<std::string, 1> paths{"name"};
        ASSERT_TRUE(registry.catalog->imports().put_products("acme", products, paths));
        model::Price price;
        price.product_key = product.key;
        price.price_type = "sale";
        price.currency = "EUR";
        price.amount = "12.50";
        const std::array prices{price};
        ASSERT_TRUE(registry.catalog->imports().put_prices("acme", prices));
        ASSERT_TRUE(registry.catalog->templates().put("acme", {"T\xc3\xa4glich", "{}", 0}));
    }
    static void make_identity(Registry& registry) {
        auth::StoredKey key;
        key.key.id = "key-1";
        key.key.organization_id = "acme";
        key.key.name = "n\xc3\xa4me";
        key.key.permissions = {"job:read"};
        key.key.created_us = 1'700'000'000'000'000;
        key.sha256 = std::string(32, '\x01');
        ASSERT_TRUE(registry.auth->keys().insert(key));
        ASSERT_TRUE(registry.auth->members().put({"user|1", "acme", {"buyer"}, false}, 17));
        const std::int64_t now_us = system_clock().unix_us();
        ASSERT_TRUE(registry.auth->sessions().insert(
            {{"0123456789abcdef", "user|1", now_us, now_us + 3'600'000'000},
             std::string(32, '\x02')}));
    }
    // What is to be the same on both sides.
    static std::string shown(const Job& job) {
        nlohmann::json out = {
            {"id", job.job_id},
            {"organization", job.organization_id},
            {"type", job.job_type},
            {"external", job.runner == JobRunner::kExternal},
            {"status", model::to_string(job.status)},
            {"epoch", job.epoch},
            {"attempt", job.attempt},
            {"attempts_max", job.attempts_max},
            {"crashes", job.crashes},
            {"interruptions", job.interruptions},
            {"priority", static_cast<int>(job.priority)},
            {"held", job.held},
            {"cancel", job.cancel_requested},
            {"spec", job.spec_json},
            {"items", {job.total_items, job.processed_items, job.failed_items, job.warned_items}},
            {"stage", job.stage},
            {"metadata", job.metadata_json},
            {"error", job.error_message},
            {"by", job.triggered_by},
            {"trace", job.trace_id},
            {"created", job.created_us},
            {"started", job.started_us.value_or(0)},
            {"completed", job.completed_us.value_or(0)},
            {"expired", job.expired_us.value_or(0)},
            {"start", job.start_us.value_or(0)},
            {"silence", job.silence_us.value_or(0)},
            {"has_deadline", job.deadline_us.has_value()},
            {"waits", job.waiting_because ? std::string(model::to_string(*job.waiting_because))
                                          : std::string()}};
        for (const auto* entries : {&job.errors, &job.warnings}) {
            for (const model::JobEntry& entry : *entries)
                out["entries"].push_back({entry.entity_key, entry.message, entry.at_us});
        }
        return dump_json(out);
    }
    static std::string events_of(Registry& registry, const std::string& id) {
        nlohmann::json out = nlohmann::json::array();
        const auto events = registry.jobs->reader().events(kEvery, id, 0);
        EXPECT_TRUE(events);
        for (const auto& event : events->items)
            out.push_back({event.at_us, event.kind, event.actor, event.detail, event.count});
        return dump_json(out);
    }
    static std::vector<std::string> notices_of(Registry& registry) {
        std::vector<std::string> out;
        const auto notices = registry.jobs->reader().notices(kEvery, 0);
        EXPECT_TRUE(notices);
        for (const auto& notice : notices->items)
            out.push_back(std::to_string(notice.sequence) + notice.event_id + notice.body_json);
        return out;
    }
    std::string refusal() {
        const auto moved = move_to_postgres(request_);
        return moved ? "" : moved.error().message;
    }

    const testing::TempDir dir_;
    MoveRequest request_;
};

TEST_F(Move, KeepsJobsOfEveryKindWithEventsNoticesAndAccesses) {
    std::map<std::string, std::string> ids;
    std::map<std::string, Job> before;
    std::map<std::string, std::string> events;
    std::vector<std::string> notices;
    std::string registry_id;
    {
        Registry files = open_files();
        ids = make_jobs(files);
        for (const auto& [what, id] : ids) {
            before[what] = *files.jobs->reader().find(kEvery, id);
            events[what] = events_of(files, id);
        }
        notices = notices_of(files);
        registry_id = files.jobs->reader().registry_id();
    }
    const auto moved = move_to_postgres(request_);
    ASSERT_TRUE(moved) << moved.error().message;
    EXPECT_FALSE(moved->was_done);
    EXPECT_EQ(moved->running, 2);
    EXPECT_EQ(moved->replaced, 1);
    Registry schema = open_schema();
    EXPECT_EQ(schema.jobs->reader().registry_id(), registry_id);
    EXPECT_EQ(notices_of(schema), notices);
    for (const auto& [what, id] : ids) {
        const auto after = schema.jobs->reader().find(kEvery, id);
        ASSERT_TRUE(after) << what << ": " << after.error().message;
        EXPECT_EQ(shown(*after), shown(before[what])) << what;
        EXPECT_EQ(events_of(schema, id), events[what]) << what;
        if (after->deadline_us) {
            EXPECT_NEAR(static_cast<double>(*after->deadline_us),
                        static_cast<double>(*before[what].deadline_us), 2e6)
                << what;
        }
    }
    // PostgreSQL's text holds no U+0000.
    EXPECT_EQ(schema.jobs->reader().find(kEvery, ids["external"])->message, "a\ufffdb\ufffd c");
}

TEST_F(Move, RunningJobsArePutBackByTheFirstDaemonAsAfterADeath) {
    std::map<std::string, std::string> ids;
    {
        Registry files = open_files();
        ids = make_jobs(files);
    }
    ASSERT_EQ(refusal(), "");
    Registry schema = open_schema();
    EXPECT_EQ(*schema.jobs->queue().rescue(), 2U);
    const Job running = *schema.jobs->reader().find(kEvery, ids["running"]);
    EXPECT_EQ(running.status, model::JobStatus::kPending);
    EXPECT_EQ(running.crashes, 1);
    EXPECT_EQ(running.attempt, 0);
    EXPECT_EQ(schema.jobs->reader().find(kEvery, ids["cancel_requested"])->status,
              model::JobStatus::kCancelled);
    const auto unpublished = schema.jobs->files().unpublished_files();
    ASSERT_TRUE(unpublished);
    ASSERT_EQ(unpublished->size(), 1U);
    EXPECT_EQ(unpublished->front().key, "acme/unfinished.csv");
}

TEST_F(Move, TurnsCountsNumbersAndKeysGoOn) {
    std::map<std::string, std::string> ids;
    jobs::OrganizationState before;
    std::size_t told = 0;
    {
        Registry files = open_files();
        ids = make_jobs(files);
        before = *files.jobs->organizations().organization("acme");
        told = notices_of(files).size();
    }
    ASSERT_EQ(refusal(), "");
    Registry schema = open_schema();
    const auto state = *schema.jobs->organizations().organization("acme");
    EXPECT_EQ(state.pending, before.pending);
    EXPECT_EQ(state.running, before.running);
    EXPECT_EQ(state.unfinished, before.unfinished);
    EXPECT_EQ(state.stored_bytes, before.stored_bytes);
    const auto zeta = *schema.jobs->organizations().organization("zeta");
    EXPECT_EQ(zeta.policy.weight, 3);
    EXPECT_TRUE(zeta.policy.held);
    EXPECT_EQ(zeta.policy.stored_bytes_max, 1'000'000);
    NewJob job;
    job.organization_id = "acme";
    job.job_type = model::kExportJobType;
    job.idempotency_key = "once";
    job.request_sha256 = std::string(64, 'a');
    const auto again = schema.jobs->requests().create(job);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(again->existed);
    EXPECT_EQ(again->job.job_id, ids["keyed"]);
    const auto claimed = schema.jobs->queue().claim();
    ASSERT_TRUE(claimed && *claimed);
    EXPECT_EQ((*claimed)->lease.job_id, ids["keyed"]);
    ASSERT_TRUE(schema.jobs->queue().give_up_attempt((*claimed)->lease, "no", true, 0));
    const auto fresh = schema.jobs->outbox().unpublished_notices();
    ASSERT_TRUE(fresh) << fresh.error().message;
    const auto notices = schema.jobs->reader().notices(kEvery, 0);
    ASSERT_EQ(notices->items.size(), told + 1);
    EXPECT_EQ(notices->items.back().sequence, static_cast<std::int64_t>(told) + 1);
}

TEST_F(Move, TimesOfTheRegistrysOwnLineAreAsFarAwayAsTheyWere) {
    testing::FakeClock clock;  // Years from the database's.
    std::string later;
    std::string scheduled;
    {
        Registry files = open_files();
        files.jobs.reset();
        std::filesystem::remove(dir_.path() + "/jobs.db");
        files.jobs = std::move(*jobs::open_sqlite_job_store(
            dir_.path() + "/jobs.db", clock, kPolicy, sqlite::Durability::kUnsyncedForTest));
        later = submit(files, "acme", [](NewJob& job) { job.deadline = seconds(900); }).job_id;
        ASSERT_TRUE(
            files.jobs->queue().give_up_attempt(claim(files).lease, "later", false, 600'000'000));
        // A start on the wall clock is that instant, whatever the line says.
        scheduled = submit(files, "acme", [&](NewJob& job) {
                        job.start_unix_us = clock.unix_us() + 3'600'000'000;
                    }).job_id;
    }
    clock.advance(seconds(100));
    request_.clock = &clock;
    ASSERT_EQ(refusal(), "");
    Registry schema = open_schema();
    const std::int64_t now_us = system_clock().unix_us();
    const auto seconds_to = [&](std::int64_t us) {
        return static_cast<double>(us - now_us) / 1'000'000;
    };
    const Job job = *schema.jobs->reader().find(kEvery, later);
    EXPECT_NEAR(seconds_to(job.due_us), 500, 60);
    EXPECT_NEAR(seconds_to(*job.deadline_us), 800, 60);
    const Job waiting = *schema.jobs->reader().find(kEvery, scheduled);
    EXPECT_EQ(waiting.due_us, *waiting.start_us);
}

TEST_F(Move, KeepsCatalogKeysMembersAndSessions) {
    {
        Registry files = open_files();
        make_catalog(files);
        make_identity(files);
    }
    ASSERT_EQ(refusal(), "");
    Registry schema = open_schema();
    EXPECT_EQ(*schema.catalog->reader().count("acme"), 1);
    EXPECT_EQ(schema.catalog->templates().find("acme", "T\xc3\xa4glich")->body_json, "{}");
    EXPECT_EQ(*schema.catalog->reader().property_paths("acme"), std::vector<std::string>{"name"});
    const auto keys = schema.auth->keys().active(system_clock().unix_us());
    ASSERT_TRUE(keys && keys->size() == 1);
    EXPECT_EQ(keys->front().sha256, std::string(32, '\x01'));
    EXPECT_EQ(keys->front().key.name, "n\xc3\xa4me");
    const auto members = schema.auth->members().all();
    ASSERT_TRUE(members && members->size() == 1);
    EXPECT_FALSE(members->front().active);
    const auto sessions = schema.auth->sessions().active(system_clock().unix_us());
    ASSERT_TRUE(sessions && sessions->size() == 1);
    EXPECT_EQ(sessions->front().sha256, std::string(32, '\x02'));
}

TEST_F(Move, MarkedFilesAreRefusedAndUndoGivesThemBack) {
    make_files();
    ASSERT_EQ(refusal(), "");
    EXPECT_TRUE(std::filesystem::exists(request_.mark_path));
    const auto refused = jobs::check_sqlite_job_store(dir_.path() + "/jobs.db");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("moved to PostgreSQL"), std::string::npos);
    const auto again = move_to_postgres(request_);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(again->was_done);
    const auto undone = undo_move(request_);
    ASSERT_TRUE(undone) << undone.error().message;
    EXPECT_FALSE(std::filesystem::exists(request_.mark_path));
    EXPECT_TRUE(jobs::check_sqlite_job_store(dir_.path() + "/jobs.db"));
    EXPECT_FALSE(undo_move(request_));
    EXPECT_EQ(refusal(), "");  // And there again.
}

TEST_F(Move, UndoIsRefusedOncePostgresHasTakenAWrite) {
    make_files();
    ASSERT_EQ(refusal(), "");
    {
        Registry schema = open_schema();
        const auto used = undo_move(request_);
        ASSERT_FALSE(used);
        EXPECT_NE(used.error().message.find("uses the schema"), std::string::npos);
        submit(schema, "acme");
    }
    const auto refused = undo_move(request_);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("has taken writes since the move"), std::string::npos);
    EXPECT_TRUE(std::filesystem::exists(request_.mark_path));
}

TEST_F(Move, UndoIsPossibleAfterADaemonOnlyStarted) {
    make_files();
    ASSERT_EQ(refusal(), "");
    (void)open_schema();
    const auto undone = undo_move(request_);
    EXPECT_TRUE(undone) << undone.error().message;
}

TEST_F(Move, AnotherRegistryInTheSchemaIsRefused) {
    make_files();
    {
        Registry schema = open_schema();
        submit(schema, "acme");
    }
    EXPECT_NE(refusal().find("expected no jobs, products and keys, found rows in job"),
              std::string::npos);
    EXPECT_FALSE(std::filesystem::exists(request_.mark_path));
}

TEST_F(Move, ACopyWhoseMarkWasCutOffIsEndedOrMadeAnew) {
    make_files();
    ASSERT_EQ(refusal(), "");
    const auto free = [&] {
        std::filesystem::remove(request_.mark_path);
        for (const SourceFile file : {SourceFile::kJobs, SourceFile::kCatalog, SourceFile::kAuth})
            execute(name_of(file),
                    "PRAGMA user_version=" + std::to_string(schema_version_of(file)));
    };
    free();
    const auto ended = move_to_postgres(request_);
    ASSERT_TRUE(ended) << ended.error().message;
    EXPECT_TRUE(ended->was_done);
    free();
    {
        Registry files = open_files();
        submit(files, "acme");
    }
    const auto anew = move_to_postgres(request_);
    ASSERT_TRUE(anew) << anew.error().message;
    EXPECT_FALSE(anew->was_done);
    free();
    {
        Registry files = open_files();
        submit(files, "acme");
        Registry schema = open_schema();
        submit(schema, "acme");
    }
    EXPECT_NE(refusal().find("have taken writes since they were copied"), std::string::npos);
}

TEST_F(Move, FilesOfAnotherVersionMissingOrDamagedOnesAreRefused) {
    EXPECT_NE(refusal().find("jobs.db: expected a database of this program, found none"),
              std::string::npos);
    make_files();
    execute("auth.db", "PRAGMA user_version=1");
    EXPECT_NE(refusal().find("auth.db: expected schema version"), std::string::npos);
    execute("auth.db",
            "PRAGMA user_version=" + std::to_string(schema_version_of(SourceFile::kAuth)));
    testing::damage_table(dir_.path() + "/jobs.db", "job_event");
    const auto damaged = move_to_postgres(request_);
    ASSERT_FALSE(damaged);
    EXPECT_EQ(damaged.error().code, ErrorCode::kDataLoss) << damaged.error().message;
    EXPECT_FALSE(std::filesystem::exists(request_.mark_path));
}

TEST_F(Move, AProductKeyThatPostgresCannotHoldIsNamed) {
    make_files();
    execute(
        "catalog.db",
        "INSERT INTO product (organization_id, key, product_type, is_published, updated_us, "
        "body, version, publish_status) VALUES ('acme', 'a' || char(0), 't', 0, 0, '{}', 1, '')");
    EXPECT_NE(refusal().find("catalog.db: product 'acme', 'a"), std::string::npos) << refusal();
    EXPECT_FALSE(std::filesystem::exists(request_.mark_path));
}

}  // namespace
}  // namespace export_worker::migration
