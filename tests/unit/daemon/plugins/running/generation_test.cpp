#include "daemon/plugins/running/generation.hpp"

#include <gtest/gtest.h>

#include "daemon/plugins/probing/golden.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"

namespace export_worker::plugins {
namespace {

class GenerationTest : public ::testing::Test {
protected:
    Generation::Setup setup(const std::string& fixture) {
        Generation::Setup out;
        out.path = testing::install_plugin(dir_, fixture);
        out.manifest = inspect(testing::read_text(out.path))->manifest;
        out.deps.clock = &clock_;
        out.deps.credentials = std::make_shared<const credentials::CredentialStore>(
            credentials::CredentialSet::ByStore{{"a", {1, "key", "secret", "token", 7}}});
        return out;
    }

    const testing::TempDir dir_;
    const testing::FakeClock clock_;
};

// As if it was built against an older and against a newer ABI.
TEST_F(GenerationTest, ReadsAndFillsStructsAsFarAsThePluginKnowsThem) {
    for (const char* fixture : {"sizes_shorter", "sizes_longer"}) {
        const auto generation = Generation::load(setup(fixture));
        ASSERT_TRUE(generation) << fixture << ": "
                                << (generation ? "" : to_text(generation.error()));
        EXPECT_EQ((*generation)->methods().at(0).name, "sizes.check");
        const auto requests = golden_requests(
            **generation,
            R"({"name":"sizes","method":"sizes.check",)"
            R"("caller":{"organization":"acme","permissions":["product:read"]},)"
            R"("job":{"id":"j1","organization":"acme","status":"completed"},"expect":{"keys":["ok"]}})");
        ASSERT_TRUE(requests);
        PluginCall call;
        const auto passed = run_golden(**generation, requests->at(0), call);
        EXPECT_TRUE(passed) << fixture << ": " << (passed ? "" : to_text(passed.error()));
    }
}

}  // namespace
}  // namespace export_worker::plugins
