// What only a catalog that several daemons share can do, or do wrong, and what PostgreSQL adds.
#include "daemon/catalog/postgres/postgres_catalog_store.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "daemon/catalog/import_lines.hpp"
#include "daemon/catalog/limits.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/postgres_proxy.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::catalog {
namespace {

using Strings = std::vector<std::string>;

class PostgresCatalogStore : public testing::PostgresTest {
protected:
    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        store_ = open(options_);
        ASSERT_NE(store_, nullptr);
    }
    static std::unique_ptr<CatalogStore> open(const postgres::DatabaseOptions& options) {
        auto store = open_postgres_catalog_store(options);
        EXPECT_TRUE(store) << store.error().message;
        return store ? std::move(*store) : nullptr;
    }
    static Result<ImportReport> import(CatalogStore& store, const std::string& lines) {
        return import_products(store.imports(), "acme", lines, 1);
    }
    static model::Product product_of(const std::string& line) {
        return *model::parse_product(line, nullptr);
    }
    model::Product find(const std::string& key) {
        std::vector<model::Product> batch;
        BatchQuery query;
        query.organization_id = "acme";
        query.with_prices = true;
        EXPECT_TRUE(store_->reader().find(query, Strings{key}, batch));
        EXPECT_EQ(batch.size(), 1U);
        return batch.empty() ? model::Product() : batch[0];
    }
    void execute(const std::string& sql) {
        const auto done = connect()->execute(sql);
        ASSERT_TRUE(done) << done.error().message;
    }
    // Does a statement that begins like this wait for a lock of another?
    bool waits_for_lock(const std::string& begin) {
        const auto connection = connect();
        return testing::eventually([&] {
            const auto rows = connection->query(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1",
                begin + "%");
            return rows && !rows->empty();
        });
    }

    std::unique_ptr<CatalogStore> store_;
};

constexpr const char* kLine = R"({"key":"a","productType":"t","properties":{"x":1}})";

TEST_F(PostgresCatalogStore, EveryDaemonReadsWhatAnotherHasImported) {
    const auto other = open(options_);
    ASSERT_TRUE(import(*other, kLine));
    EXPECT_EQ(*store_->reader().count("acme"), 1);
    EXPECT_EQ(find("a").body, product_of(kLine).body);
    ASSERT_TRUE(store_->templates().put("acme", {"weekly", "{}", 0}));
    EXPECT_EQ(other->templates().list("acme")->size(), 1U);
}

TEST_F(PostgresCatalogStore, TimesAreTheDatabases) {
    execute(
        "CREATE OR REPLACE FUNCTION database_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS "
        "$$SELECT '2001-02-03 04:05:06.000007Z'::timestamptz$$");
    ASSERT_TRUE(import(*store_, kLine));
    EXPECT_EQ(find("a").updated_us, 981'173'106'000'007);
    ASSERT_TRUE(store_->templates().put("acme", {"weekly", "{}", 0}));
    EXPECT_EQ(store_->templates().find("acme", "weekly")->updated_us, 981'173'106'000'007);
}

TEST_F(PostgresCatalogStore, ACommitWhoseAnswerIsLostOnTheWayHappensOnce) {
    testing::PostgresProxy proxy(*server_);
    const auto remote = open(proxy.through(options_));
    const std::string price = R"({"product_key":"a","brand_key":"b","amount":"1.50"})";
    proxy.swallow_commit_answers(2);
    EXPECT_EQ(import(*remote, kLine).error().code, ErrorCode::kUnknownOutcome);
    EXPECT_EQ(import_prices(remote->imports(), "acme", price, 1).error().code,
              ErrorCode::kUnknownOutcome);
    const model::Product first = find("a");
    EXPECT_NE(remote->problem().cause, "");
    EXPECT_EQ(remote->write_errors(), 2U);
    ASSERT_TRUE(import(*remote, kLine));
    ASSERT_TRUE(import_prices(remote->imports(), "acme", price, 1));
    const model::Product again = find("a");
    EXPECT_EQ(again.version, 1);
    EXPECT_EQ(again.updated_us, first.updated_us);
    EXPECT_EQ(again.prices.size(), 1U);
    EXPECT_EQ(*store_->reader().count("acme"), 1);
    EXPECT_EQ(*store_->reader().property_paths("acme"), Strings{"x"});
    EXPECT_EQ(remote->problem().cause, "");
}

TEST_F(PostgresCatalogStore, ACommitThatDidNotArriveLeavesNothingUntilItRunsAgain) {
    testing::PostgresProxy proxy(*server_);
    const auto remote = open(proxy.through(options_));
    proxy.cut_before_commits(1);
    EXPECT_EQ(import(*remote, kLine).error().code, ErrorCode::kUnknownOutcome);
    EXPECT_EQ(*store_->reader().count("acme"), 0);
    ASSERT_TRUE(import(*remote, kLine));
    EXPECT_EQ(find("a").version, 1);
}

// The second run waits for the first, which may still commit, and finds its products.
TEST_F(PostgresCatalogStore, ASecondRunWaitsForTheFirst) {
    const auto first = connect();
    ASSERT_TRUE(first->begin(postgres::Connection::Access::kReadWrite));
    ASSERT_TRUE(first->change("INSERT INTO product_count VALUES ('acme', 0)"));
    ASSERT_TRUE(
        first->change("INSERT INTO product VALUES ('acme', 'a', 't', 'draft', false, 1, "
                      "now(), $1)",
                      product_of(kLine).body));
    std::jthread second([&] { EXPECT_TRUE(import(*store_, kLine)); });
    EXPECT_TRUE(waits_for_lock("INSERT INTO product_count"));
    ASSERT_TRUE(first->commit());
    second.join();
    EXPECT_EQ(find("a").version, 1);
    EXPECT_EQ(*store_->reader().count("acme"), 1);
}

TEST_F(PostgresCatalogStore, ImportsOfOneOrganizationFollowEachOtherAndThoseOfOthersDoNotWait) {
    ASSERT_TRUE(import(*store_, kLine));
    const auto holder = connect();
    ASSERT_TRUE(holder->begin(postgres::Connection::Access::kReadWrite));
    ASSERT_TRUE(holder->query("SELECT products FROM product_count FOR NO KEY UPDATE"));
    const std::string changed = R"({"key":"a","productType":"u"})";
    std::jthread waiting([&] { EXPECT_TRUE(import(*store_, changed)); });
    EXPECT_TRUE(waits_for_lock("SELECT products FROM product_count"));
    EXPECT_TRUE(import_products(store_->imports(), "umbrella", kLine, 1));
    EXPECT_EQ(find("a").product_type, "t") << "reading waits for no import";
    ASSERT_TRUE(holder->commit());
    waiting.join();
    EXPECT_EQ(find("a").product_type, "u");
}

TEST_F(PostgresCatalogStore, SeveralDaemonsAddTemplatesUpToTheLimit) {
    const auto other = open(options_);
    std::atomic<int> added{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 2; ++thread) {
        threads.emplace_back([&, thread] {
            CatalogStore& store = thread == 0 ? *store_ : *other;
            for (std::size_t index = 0; index < limits::kExportTemplatesMax; ++index) {
                const std::string name = std::to_string(thread) + "." + std::to_string(index);
                const auto put = store.templates().put("acme", {name, "{}", 0});
                if (put)
                    ++added;
                else
                    EXPECT_EQ(put.error().code, ErrorCode::kConflict);
            }
        });
    }
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(added, static_cast<int>(limits::kExportTemplatesMax));
    EXPECT_EQ(store_->templates().list("acme")->size(), limits::kExportTemplatesMax);
}

// No import through the lines of a file has such a text: the parser refuses it before.
TEST_F(PostgresCatalogStore, WhatPostgresCannotHoldIsRefusedAndNotChanged) {
    for (const std::string& text : {std::string("a\0", 2), std::string("a\xff")}) {
        for (std::string model::Product::*field :
             {&model::Product::key, &model::Product::product_type, &model::Product::publish_status,
              &model::Product::body}) {
            model::Product product = product_of(kLine);
            product.*field = text;
            const std::vector<model::Product> batch{product_of(R"({"key":"b","productType":"t"})"),
                                                    product};
            const auto refused = store_->imports().put_products("acme", batch, {});
            ASSERT_FALSE(refused);
            EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
            EXPECT_NE(refused.error().message.find("expected UTF-8 without U+0000, found 'a?'"),
                      std::string::npos)
                << refused.error().message;
        }
        EXPECT_EQ(store_->imports().put_products("acme", {}, Strings{text}).error().code,
                  ErrorCode::kInvalidArgument);
        model::Price price =
            *model::parse_price(R"({"product_key":"a","brand_key":"b","amount":1})");
        price.product_key = text;
        EXPECT_EQ(store_->imports().put_prices("acme", {&price, 1}).error().code,
                  ErrorCode::kInvalidArgument);
        EXPECT_EQ(store_->templates().put("acme", {text, "{}", 0}).error().code,
                  ErrorCode::kInvalidArgument);
    }
    EXPECT_EQ(*store_->reader().count("acme"), 0);
    EXPECT_TRUE(store_->reader().property_paths("acme")->empty());
}

TEST_F(PostgresCatalogStore, ABatchThatFailsLeavesNothing) {
    execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION "
        "'no space left on device' USING ERRCODE = 'disk_full'; END$$;"
        "CREATE TRIGGER full_disk BEFORE INSERT ON property_path FOR EACH ROW EXECUTE FUNCTION "
        "refuse()");
    EXPECT_EQ(import(*store_, kLine).error().code, ErrorCode::kResourceExhausted);
    EXPECT_EQ(*store_->reader().count("acme"), 0);
    EXPECT_NE(store_->problem().cause, "");
    execute("DROP FUNCTION refuse CASCADE");
    ASSERT_TRUE(import(*store_, kLine));
    EXPECT_EQ(*store_->reader().count("acme"), 1);
    EXPECT_EQ(store_->problem().cause, "");
}

TEST_F(PostgresCatalogStore, TheCountFollowsWhatAnOperatorDrops) {
    ASSERT_TRUE(import(*store_, std::string(kLine) + "\n" + R"({"key":"b","productType":"t"})"));
    ASSERT_TRUE(import_products(store_->imports(), "umbrella", kLine, 1));
    execute("DELETE FROM product WHERE key = 'a'");
    EXPECT_EQ(*store_->reader().count("acme"), 1);
    EXPECT_EQ(*store_->reader().count("umbrella"), 0);
}

// Stands in for a table that takes its time.
TEST_F(PostgresCatalogStore, AReadThatTakesTooLongIsGivenUp) {
    postgres::DatabaseOptions impatient = options_;
    impatient.connect.settings = {{"statement_timeout", "100"}};
    const auto store = open(impatient);
    ASSERT_TRUE(import(*store, kLine));
    execute(
        "ALTER TABLE product RENAME TO product_rows;"
        "CREATE VIEW product AS SELECT * FROM product_rows WHERE pg_sleep(10) IS NOT NULL");
    BatchQuery query;
    query.organization_id = "acme";
    std::vector<model::Product> batch;
    EXPECT_EQ(store->reader().read_batch(query, batch).error().code, ErrorCode::kDeadlineExceeded);
    EXPECT_EQ(store->reader().find(query, Strings{"a"}, batch).error().code,
              ErrorCode::kDeadlineExceeded);
    execute("DROP VIEW product; ALTER TABLE product_rows RENAME TO product");
    EXPECT_TRUE(store->reader().read_batch(query, batch));
    EXPECT_EQ(batch.size(), 1U);
}

TEST_F(PostgresCatalogStore, ALockThatIsHeldForTooLongIsGivenUp) {
    postgres::DatabaseOptions impatient = options_;
    impatient.connect.settings = {{"lock_timeout", "100"}};
    const auto store = open(impatient);
    ASSERT_TRUE(import(*store, kLine));
    const auto holder = connect();
    ASSERT_TRUE(holder->begin(postgres::Connection::Access::kReadWrite));
    ASSERT_TRUE(holder->query("SELECT products FROM product_count FOR UPDATE"));
    EXPECT_EQ(import(*store, kLine).error().code, ErrorCode::kDeadlineExceeded);
    holder->rollback();
    EXPECT_TRUE(import(*store, kLine));
}

TEST_F(PostgresCatalogStore, ADaemonBehindAPoolerSharesTheCatalog) {
    postgres::DatabaseOptions behind = options_;
    behind.connect.pooler = postgres::Pooler::kTransaction;
    const auto pooled = open(behind);
    ASSERT_TRUE(import(*pooled, kLine));
    ASSERT_TRUE(import_prices(pooled->imports(), "acme",
                              R"({"product_key":"a","brand_key":"b","amount":1})", 1));
    BatchQuery query;
    query.organization_id = "acme";
    query.with_prices = true;
    std::vector<model::Product> batch;
    ASSERT_TRUE(pooled->reader().read_batch(query, batch));
    ASSERT_EQ(batch.size(), 1U);
    EXPECT_EQ(batch[0].prices.size(), 1U);
    EXPECT_EQ(*pooled->reader().find(query, Strings{"a"}, batch), 1U);
    EXPECT_EQ(find("a").version, 1);
}

TEST_F(PostgresCatalogStore, BackupsAndFreeSpaceArePostgresOwnMatter) {
    const testing::TempDir dir;
    const auto backup = store_->backup(dir / "copy");
    EXPECT_EQ(backup.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(
        backup.error().message.find("pg_dump --format=custom --schema=" + options_.connect.schema),
        std::string::npos);
    const auto compact = store_->compact(std::chrono::seconds(1), [] { return true; });
    EXPECT_EQ(compact.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(compact.error().message.find("VACUUM"), std::string::npos);
}

}  // namespace
}  // namespace export_worker::catalog
