// The catalog of PostgreSQL beside that of SQLite: the same files, and what reading and importing
// cost, in rows that the server reads and writes and in time.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "daemon/catalog/import_lines.hpp"
#include "daemon/catalog/limits.hpp"
#include "daemon/catalog/postgres/postgres_catalog_store.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/format/byte_sink.hpp"
#include "daemon/format/columns.hpp"
#include "daemon/format/product_encoder.hpp"
#include "tests/unit/support/doubling.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/postgres_schemas.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::catalog {
namespace {

constexpr std::size_t kBatchBytes = 512 * 1024;  // As exportctl sends them.

// `count` lines of `line(number)`, in batches.
template <typename Line>
std::vector<std::string> batches_of(int count, const Line& line) {
    std::vector<std::string> out(1);
    for (int number = 0; number < count; ++number) {
        if (out.back().size() >= kBatchBytes) out.emplace_back();
        out.back() += line(number) + "\n";
    }
    return out;
}

// Of some 430 bytes; each hundredth is a rare one.
std::vector<std::string> product_batches(int count) {
    return batches_of(count, [](int number) {
        return R"({"key":"k)" + std::to_string(1'000'000 + number) + R"(","productType":")" +
               (number % 100 == 99 ? "rare" : "t") + R"(","properties":{"name":")" +
               std::string(370, 'n') + "\"}}";
    });
}

void import_all(CatalogStore& store, const std::vector<std::string>& batches,
                const std::string& organization = "acme") {
    for (const std::string& batch : batches) {
        const auto report = import_products(store.imports(), organization, batch, 1);
        ASSERT_TRUE(report) << report.error().message;
        ASSERT_EQ(report->rejected, 0) << report->errors[0].message;
    }
}

std::size_t read_all(CatalogStore& store, const model::ExportFilter* filter = nullptr) {
    BatchQuery query;
    query.organization_id = "acme";
    query.filter = filter;
    std::vector<model::Product> batch;
    std::size_t count = 0;
    while (!query.at_end) {
        const auto read = store.reader().read_batch(query, batch);
        EXPECT_TRUE(read) << read.error().message;
        if (!read) break;
        count += batch.size();
    }
    return count;
}

std::unique_ptr<CatalogStore> open_postgres(const postgres::DatabaseOptions& options) {
    auto store = open_postgres_catalog_store(options);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
}

std::unique_ptr<CatalogStore> open_sqlite(const testing::TempDir& dir, const Clock& clock) {
    auto store =
        open_sqlite_catalog_store(dir / "catalog.db", clock, sqlite::Durability::kUnsyncedForTest);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
}

// --- The same products and the same request give the same bytes. ---

class TextSink final : public format::ByteSink {
public:
    Result<void> write(std::string_view bytes) override {
        text += bytes;
        return {};
    }
    std::string text;
};

class SameBytes : public ::testing::Test {
protected:
    void SetUp() override {
        std::string why_not;
        if (testing::PostgresServer::get(why_not) == nullptr) GTEST_SKIP() << why_not;
        sqlite_ = open_sqlite(dir_, clock_);
        postgres_ = open_postgres(*testing::PostgresSchemas::find(dir_.path(), clock_));
    }
    void TearDown() override {
        postgres_.reset();
        if (!HasFailure() && !IsSkipped()) testing::PostgresSchemas::give_back(dir_.path());
    }
    // Keys, texts and prices in which the databases might differ.
    static std::string product_line(int number) {
        static const std::vector<std::string> kNames{"A", "a", "_", "Ä", "ä", "€", "z", "a b"};
        const std::string key = kNames[static_cast<std::size_t>(number) % kNames.size()] +
                                std::to_string(number * 7919 % 10'007);
        std::string line = R"({"key":")" + key + R"(","productType":")" +
                           (number % 3 == 0 ? "mug" : "hat") + R"(","publish_status":")" +
                           (number % 2 == 0 ? "live" : "changed") + R"(","labels":["l)" +
                           std::to_string(number % 4) + R"("],)" +
                           R"("properties":{"x":"\u0000é\ud83d\ude00\\\n","y)" +
                           std::to_string(number % 11) + R"(":1.50,"Ö":{"e":1e300}},"variants":[)" +
                           R"({"key":")" + key + R"(/S","properties":{"x":null}}]})";
        return line;
    }
    void import_everywhere() {
        constexpr int kProducts = 1'500;
        const auto products = batches_of(kProducts, product_line);
        const auto prices = batches_of(kProducts * 4, [](int number) {
            const std::string product = product_line(number / 4);
            const std::string key = parse_json(product)["key"];
            return R"({"product_key":)" + dump_json(nlohmann::json(key)) + R"(,"brand_key":"b)" +
                   std::to_string(number % 2) + R"(","currency":")" +
                   (number % 4 < 2 ? "EUR" : "USD") + R"(","amount":"0)" + std::to_string(number) +
                   R"(.50","effective_from":"2020-01-0)" + std::to_string(number % 3 + 1) +
                   R"(T00:00:00Z"})";
        });
        for (CatalogStore* store : {sqlite_.get(), postgres_.get()}) {
            import_all(*store, products);
            for (const std::string& batch : prices) {
                const auto report = import_prices(store->imports(), "acme", batch, 1);
                ASSERT_TRUE(report) << report.error().message;
                ASSERT_EQ(report->rejected, 0) << report->errors[0].message;
            }
        }
        clock_.advance(std::chrono::seconds(100));
        for (CatalogStore* store : {sqlite_.get(), postgres_.get()}) {
            import_all(*store, products);
            import_all(*store, batches_of(200, [](int number) {
                auto line = parse_json(product_line(number * 5));
                line["properties"]["new"] = number;
                return dump_json(line);
            }));
        }
    }
    Result<std::string> export_from(CatalogStore& store, const nlohmann::json& request) {
        EW_TRY(const model::ExportSpec spec, model::parse_export_spec(request));
        EW_TRY(const auto paths, store.reader().property_paths("acme"));
        EW_TRY(std::vector<format::Column> columns, format::resolve_columns(spec, paths));
        BatchQuery query;
        query.organization_id = "acme";
        query.filter = spec.filter.empty() ? nullptr : &spec.filter;
        query.with_prices = format::wants_prices(columns);
        query.prices_at_us = clock_.unix_us();
        TextSink sink;
        const auto encoder = format::make_encoder({&spec, std::move(columns), &sink, dir_.path()});
        EW_CHECK(encoder->begin());
        std::vector<model::Product> batch;
        while (!query.at_end) {
            EW_CHECK(store.reader().read_batch(query, batch));
            for (model::Product& product : batch) EW_CHECK(encoder->append(product));
        }
        EW_CHECK(encoder->finish());
        EXPECT_GT(encoder->report().products, 0) << request;
        return std::move(sink.text);
    }

    const testing::TempDir dir_;
    testing::DatabaseClock clock_;
    std::unique_ptr<CatalogStore> sqlite_;
    std::unique_ptr<CatalogStore> postgres_;
};

TEST_F(SameBytes, OfTwelveSpecs) {
    import_everywhere();
    const nlohmann::json filter = {{"product_type", {"mug"}},
                                   {"publish_status", {"live"}},
                                   {"labels", {"l2"}},
                                   {"updated_since", "2023-11-14T22:13:20Z"}};
    int specs = 0;
    for (const char* format : {"csv", "jsonl", "xlsx"}) {
        for (const bool filtered : {false, true}) {
            for (const bool priced : {false, true}) {
                nlohmann::json request = {{"format", format}};
                if (filtered) request["filter"] = filter;
                if (priced)
                    request["columns"] = {
                        "key",    "version", "updatedAt", "x", "prices.map.EUR", "prices.map.USD",
                        "labels", "new"};
                const auto from_sqlite = export_from(*sqlite_, request);
                const auto from_postgres = export_from(*postgres_, request);
                ASSERT_TRUE(from_sqlite) << from_sqlite.error().message;
                ASSERT_TRUE(from_postgres) << from_postgres.error().message;
                EXPECT_GT(from_sqlite->size(), 1'000U);
                EXPECT_TRUE(*from_sqlite == *from_postgres) << request;
                ++specs;
            }
        }
    }
    EXPECT_EQ(specs, 12);
}

TEST_F(SameBytes, OfListedKeysWithTheirPrices) {
    import_everywhere();
    std::vector<std::string> keys{"none"};
    for (int number = 0; number < 600; ++number)
        keys.push_back(parse_json(product_line(number * 3 % 1'500))["key"]);
    BatchQuery query;
    query.organization_id = "acme";
    query.with_prices = true;
    query.prices_at_us = clock_.unix_us();
    std::vector<model::Product> batch;
    std::vector<std::string> found;
    for (CatalogStore* store : {sqlite_.get(), postgres_.get()}) {
        std::string all;
        for (std::span<const std::string> left = keys; !left.empty();) {
            const auto looked_up = store->reader().find(query, left, batch);
            ASSERT_TRUE(looked_up) << looked_up.error().message;
            left = left.subspan(*looked_up);
            for (const model::Product& product : batch) {
                all += product.key + std::to_string(product.updated_us) +
                       std::to_string(product.version) + product.body;
                for (const model::Price& price : product.prices)
                    all += price.amount + price.brand_key + std::to_string(price.effective_from_us);
            }
        }
        found.push_back(std::move(all));
    }
    EXPECT_GT(found[0].size(), 10'000U);
    EXPECT_TRUE(found[0] == found[1]);
}

// --- What it costs, in rows. ---

struct Rows {
    std::uint64_t read = 0;     // By the primary key of products.
    std::uint64_t scanned = 0;  // Of any table of the catalog, without an index.
    std::uint64_t written = 0;  // Products.
};

class PostgresCatalogCost : public testing::PostgresTest {
protected:
    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        options_.connect.application_name = options_.connect.schema;
        // Statistics come when the test says so, if at all.
        ASSERT_NE(open_postgres(options_), nullptr);
        execute(
            "ALTER TABLE product SET (autovacuum_enabled = off);"
            "ALTER TABLE price SET (autovacuum_enabled = off)");
    }
    void execute(const std::string& sql) {
        const auto done = connect()->execute(sql);
        ASSERT_TRUE(done) << done.error().message;
    }
    // Since the tables were made. A session that has ended has told all it did.
    Rows total() {
        postgres::ConnectOptions other = options_.connect;
        other.application_name = "cost";
        const auto connection = std::move(*postgres::Connection::open(other));
        EXPECT_TRUE(testing::eventually([&] {
            const auto open =
                connection->query("SELECT 1 FROM pg_stat_activity WHERE application_name = $1",
                                  options_.connect.application_name);
            return open && open->empty();
        }));
        const auto rows = connection->query(
            "SELECT (SELECT idx_tup_read FROM pg_stat_user_indexes WHERE schemaname = "
            "current_schema AND indexrelname = 'product_pkey'), "
            "(SELECT sum(seq_tup_read)::bigint FROM pg_stat_user_tables WHERE schemaname = "
            "current_schema AND relname IN ('product', 'price', 'property_path', "
            "'product_count')), "
            "(SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE schemaname = "
            "current_schema AND relname = 'product')");
        EXPECT_TRUE(rows) << rows.error().message;
        const auto number = [&](int column) {
            return static_cast<std::uint64_t>(rows->front().integer(column));
        };
        return {number(0), number(1), number(2)};
    }
    template <typename Work>
    Rows cost_of(const Work& work) {
        const Rows before = total();
        work(*open_postgres(options_));
        const Rows after = total();
        return {after.read - before.read, after.scanned - before.scanned,
                after.written - before.written};
    }
};

// Neither a table that was never analyzed nor statistics of other organizations lead to another
// plan.
TEST_F(PostgresCatalogCost, ReadingLooksAtEachProductOnce) {
    constexpr std::size_t kProducts = 12'000;
    {
        const auto store = open_postgres(options_);
        for (int organization = 0; organization < 200; ++organization)
            import_all(*store, product_batches(5), "small" + std::to_string(organization));
        execute("ANALYZE product");
        import_all(*store, product_batches(static_cast<int>(kProducts)));
    }
    model::ExportFilter rare;
    rare.product_types = {"rare"};
    for (const bool has_statistics : {true, false}) {
        if (!has_statistics)
            execute(
                "DELETE FROM pg_statistic WHERE starelid = 'product'::regclass;"
                "UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = 'product'::regclass");
        const Rows all =
            cost_of([&](CatalogStore& store) { EXPECT_EQ(read_all(store), kProducts); });
        EXPECT_LE(all.read, kProducts + kProducts / 10);
        EXPECT_EQ(all.scanned, 0U);
        // A batch that has looked at as many as it may finds the last of those once more.
        const Rows few = cost_of(
            [&](CatalogStore& store) { EXPECT_EQ(read_all(store, &rare), kProducts / 100); });
        EXPECT_LE(few.read, 2 * kProducts + kProducts / 10);
        EXPECT_EQ(few.scanned, 0U);
    }
}

TEST_F(PostgresCatalogCost, LookingKeysUpReadsThemAlone) {
    {
        const auto store = open_postgres(options_);
        import_all(*store, product_batches(5'000));
    }
    std::vector<std::string> keys;
    for (int number = 0; number < 500; ++number)
        keys.push_back("k" + std::to_string(1'000'000 + number * 10));
    const Rows cost = cost_of([&](CatalogStore& store) {
        BatchQuery query;
        query.organization_id = "acme";
        std::vector<model::Product> batch;
        EXPECT_TRUE(store.reader().find(query, keys, batch));
        EXPECT_EQ(batch.size(), keys.size());
    });
    EXPECT_LE(cost.read, keys.size());
    EXPECT_EQ(cost.scanned, 0U);
}

TEST_F(PostgresCatalogCost, TwiceTheLinesReadAndWriteTwiceTheRows) {
    testing::Doubling read;
    for (const int count : testing::doubling_rows()) {
        execute("TRUNCATE product, product_count");
        const auto batches = product_batches(count);
        const auto rows = static_cast<std::uint64_t>(count);
        const Rows first = cost_of([&](CatalogStore& store) { import_all(store, batches); });
        EXPECT_EQ(first.written, rows);
        const Rows again = cost_of([&](CatalogStore& store) { import_all(store, batches); });
        EXPECT_EQ(again.written, 0U) << "the same content";
        read.add(rows, again.read);
        EXPECT_EQ(first.scanned + again.scanned, 0U);
    }
    // A row that was only locked would have been written, too.
    const auto locked = connect()->query("SELECT count(*) FROM product WHERE xmax <> 0");
    EXPECT_EQ(locked->front().integer(0), 0);
}

// --- What it costs, in time: printed, because a machine's load is not ours to promise. With
// EXPORT_WORKER_COST_ROWS=200000 as many products, whose lines are parsed before; neither database
// syncs. ---

std::vector<model::Product> parsed(const std::string& lines) {
    std::vector<model::Product> out;
    std::istringstream in(lines);
    for (std::string line; std::getline(in, line);)
        out.push_back(*model::parse_product(line, nullptr));
    return out;
}

template <typename Work>
double rows_per_second(int rows, const Work& work) {
    const auto began = std::chrono::steady_clock::now();
    work();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    return rows / took.count();
}

TEST_F(PostgresCatalogCost, RowsPerSecondBesideSqlite) {
    const char* wanted = std::getenv("EXPORT_WORKER_COST_ROWS");
    const int rows = wanted == nullptr ? 2'000 : std::atoi(wanted);
    std::vector<std::vector<model::Product>> batches;
    for (const std::string& lines : product_batches(rows)) batches.push_back(parsed(lines));
    const auto import_parsed = [&](CatalogStore& store) {
        for (const auto& batch : batches)
            EXPECT_TRUE(
                store.imports().put_products("acme", batch, std::vector{std::string("name")}));
    };
    const testing::TempDir dir;
    const testing::FakeClock clock;
    model::ExportFilter rare;
    rare.product_types = {"rare"};
    for (const bool in_postgres : {false, true}) {
        const auto store = in_postgres ? open_postgres(options_) : open_sqlite(dir, clock);
        const double imports = rows_per_second(rows, [&] { import_parsed(*store); });
        const double same = rows_per_second(rows, [&] { import_parsed(*store); });
        const double reads = rows_per_second(
            rows, [&] { EXPECT_EQ(read_all(*store), static_cast<std::size_t>(rows)); });
        const double filtered = rows_per_second(rows, [&] {
            EXPECT_EQ(read_all(*store, &rare), static_cast<std::size_t>(rows / 100));
        });
        std::printf(
            "%s, %d products: imported %.0f/s, the same again %.0f/s, read %.0f/s, one in a "
            "hundred %.0f/s\n",
            in_postgres ? "PostgreSQL" : "SQLite", rows, imports, same, reads, filtered);
    }
}

}  // namespace
}  // namespace export_worker::catalog
