#include "daemon/plugins/probing/golden.hpp"

#include <gtest/gtest.h>

#include "base/clock.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {
namespace {

class GoldenTest : public ::testing::Test {
protected:
    void SetUp() override {
        Generation::Setup setup;
        setup.path = testing::install_plugin(dir_, "minimal_c");
        setup.manifest = inspect(testing::read_text(setup.path))->manifest;
        setup.deps.clock = &system_clock();
        generation_ = std::move(*Generation::load(std::move(setup)));
    }
    std::string refusal(const std::string& text) {
        const auto read = golden_requests(*generation_, text);
        return read ? "" : to_text(read.error());
    }
    const testing::TempDir dir_;
    std::unique_ptr<Generation> generation_;
};

TEST_F(GoldenTest, EveryIdempotentMethodIsCalledAnonymously) {
    const auto requests = golden_requests(*generation_, "");
    ASSERT_EQ(requests->size(), 1U);
    EXPECT_EQ(requests->at(0).name, "anonymous call of minimal.echo");
    PluginCall call;
    EXPECT_TRUE(run_golden(*generation_, requests->at(0), call));
}

TEST_F(GoldenTest, AnswersAreComparedWithWhatIsExpected) {
    const auto requests = golden_requests(
        *generation_,
        R"({"name":"echo","method":"minimal.echo","params":{"a":1},"expect":{"keys":["a"]}})"
        "\n\n"
        R"({"name":"other key","method":"minimal.echo","params":{"a":1},"expect":{"keys":["b"]}})"
        "\n"
        R"({"name":"an error","method":"minimal.echo","expect":{"error":"gone"}})");
    ASSERT_TRUE(requests) << to_text(requests.error());
    PluginCall call;
    EXPECT_TRUE(run_golden(*generation_, requests->at(0), call));
    EXPECT_EQ(run_golden(*generation_, requests->at(1), call).error().found, "a result without it");
    const auto wrong = run_golden(*generation_, requests->at(2), call);
    ASSERT_FALSE(wrong);
    EXPECT_NE(to_text(wrong.error()).find("'an error' to answer gone; found ok"),
              std::string::npos);
}

TEST_F(GoldenTest, ABadLineIsNamed) {
    EXPECT_NE(refusal("{}").find("line 1"), std::string::npos);
    EXPECT_NE(refusal("\nnot json").find("line 2"), std::string::npos);
    EXPECT_NE(refusal(R"({"name":"x","method":"no.such","expect":{}})")
                  .find("expected one of the candidate's (minimal.echo), found 'no.such'"),
              std::string::npos);
    EXPECT_NE(refusal(R"({"name":"x","method":"minimal.echo","expect":{},"caller":{}})")
                  .find("organization"),
              std::string::npos);
}

// A typing error must not switch a check off.
TEST_F(GoldenTest, AnUnknownMemberIsRefused) {
    const auto found = [this](const std::string& members) {
        return refusal(R"({"name":"x","method":"minimal.echo",)" + members + "}");
    };
    EXPECT_EQ(found(R"("expect":{})"), "");
    EXPECT_NE(found(R"("params":{})").find("expect: missing"), std::string::npos);
    EXPECT_NE(found(R"("expect":{},"callr":{})").find("callr"), std::string::npos);
    EXPECT_NE(found(R"("expect":{"key":["a"]})").find("expect.key"), std::string::npos);
    EXPECT_NE(found(R"("expect":{"error":"no_such_code"})").find("found 'no_such_code'"),
              std::string::npos);
    EXPECT_NE(found(R"("expect":{},"caller":{"organization":"a","permissions":[],"role":"x"})")
                  .find("caller.role"),
              std::string::npos);
    EXPECT_NE(
        found(R"("expect":{},"job":{"id":"j","status":"failed","organization":"a","url":"x"})")
            .find("job.url"),
        std::string::npos);
    EXPECT_NE(found(R"("expect":{},"params":{},"params":{"a":1})").find("a member twice"),
              std::string::npos);
}

// Nor must one make it check something else.
TEST_F(GoldenTest, AWordThatNothingKnowsIsRefused) {
    const auto found = [this](const std::string& members) {
        return refusal(R"({"name":"x","method":"minimal.echo",)" + members + "}");
    };
    EXPECT_NE(found(R"("expect":{},"caller":{"organization":"a","permissions":["product:raed"]})")
                  .find("caller.permissions: expected product:read, "),
              std::string::npos);
    EXPECT_NE(found(R"("expect":{},"job":{"id":"j","status":"complete","organization":"a"})")
                  .find("job.status: expected a status of docs/wire_protocol.md, found 'complete'"),
              std::string::npos);
    EXPECT_NE(found(R"("expect":{"error":"not_found","keys":["a"]})").find("found both"),
              std::string::npos);
    EXPECT_NE(found(R"("expect":{"error":"plugin_fault"})").find("a broken contract"),
              std::string::npos);
}

TEST(GoldenFile, IsTheNamedOneOrLiesBesideTheCandidateOrTheConfigured) {
    const testing::TempDir dir;
    const std::string unnamed;
    const std::string candidate = dir / "a.so";
    const std::string configured = dir / "b.so";
    EXPECT_TRUE(read_golden_file(unnamed, candidate, configured)->empty());
    dir.write("b.golden.jsonl", "b");
    EXPECT_EQ(*read_golden_file(unnamed, candidate, configured), "b");
    dir.write("a.golden.jsonl", "a");
    EXPECT_EQ(*read_golden_file(unnamed, candidate, configured), "a");
    const std::string named = dir.write("n", "named");
    EXPECT_EQ(*read_golden_file(named, candidate, configured), "named");
    std::filesystem::remove(named);
    EXPECT_EQ(read_golden_file(named, candidate, configured).error().code, "io");
}

}  // namespace
}  // namespace export_worker::plugins
