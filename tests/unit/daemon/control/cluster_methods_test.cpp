#include "daemon/control/cluster_methods.hpp"

#include <optional>

#include "tests/unit/daemon/control/control_fixture.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::control {
namespace {

TEST_F(ControlFixture, ADaemonWithItsOwnDatabasesHasNoCluster) {
    for (const char* method : {"control.cluster_status", "control.cluster_evict"})
        EXPECT_NE(refusal(method, {{"instance", "x"}}).find("this daemon is alone"),
                  std::string::npos)
            << refusal(method, {{"instance", "x"}});
}

class ClusterMethodsTest : public ControlFixture {
protected:
    void SetUp() override {
        std::string why_not;
        testing::PostgresServer* const server = testing::PostgresServer::get(why_not);
        if (server == nullptr) GTEST_SKIP() << why_not;
        database_ = server->new_schema();
        membership_ = join("worker-1", {{"roles", "0a1b"}});
        deps_.cluster = membership_.get();
    }
    std::unique_ptr<cluster::Membership> join(const std::string& name, cluster::FileHashes hashes) {
        auto joined = cluster::Membership::join({.database = database_,
                                                 .name = name,
                                                 .version = "1.2.3",
                                                 .file_hashes = std::move(hashes)},
                                                clock_);
        EXPECT_TRUE(joined) << joined.error().message;
        return joined ? std::move(*joined) : nullptr;
    }

    postgres::DatabaseOptions database_;
    std::unique_ptr<cluster::Membership> membership_;
};

TEST_F(ClusterMethodsTest, StatusSaysWhoIsThereAndWhatDiffers) {
    const auto other = join("worker-2", {{"roles", "ffff"}});
    ASSERT_TRUE(other);
    const json status = call("control.cluster_status");
    ASSERT_EQ(status["items"].size(), 2U);
    const json& first = status["items"][0];
    EXPECT_EQ(first["name"], "worker-1");
    EXPECT_EQ(first["instance"], membership_->id());
    EXPECT_EQ(first["version"], "1.2.3");
    EXPECT_EQ(first["leads"], true);
    EXPECT_EQ(first["is_asked"], true);
    EXPECT_GT(first["lease_left_seconds"], 0.0);
    EXPECT_EQ(first["file_hashes"]["roles"], "0a1b");
    EXPECT_EQ(status["items"][1]["leads"], false);
    EXPECT_EQ(status["differing_files"], json::array({"roles"}));
}

TEST_F(ClusterMethodsTest, EvictEndsALease) {
    const auto other = join("worker-2", {});
    const std::string id = other->id();
    EXPECT_EQ(call("control.cluster_evict", {{"instance", id}})["instance"], id);
    const json status = call("control.cluster_status");
    EXPECT_EQ(status["items"][1]["lease_left_seconds"], 0.0);
    EXPECT_NE(refusal("control.cluster_evict", {{"instance", "nobody"}}).find("not_found"),
              std::string::npos);
    EXPECT_NE(refusal("control.cluster_evict").find("instance: missing"), std::string::npos)
        << refusal("control.cluster_evict");
}

}  // namespace
}  // namespace export_worker::control
