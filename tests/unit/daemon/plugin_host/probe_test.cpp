#include "daemon/plugin_host/probe.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "base/unique_fd.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"

namespace export_worker::plugin_host {
namespace {

// Whatever numbers its pipes get: one of them overwrote another when they met the number the child
// uses in between.
TEST(Probe, WorksWhicheverDescriptorsAreFree) {
    const testing::TempDir dir;
    ProbeRequest request;
    request.file = testing::install_plugin(dir, "minimal_c");
    request.create = false;
    std::vector<UniqueFd> taken;
    for (int number = 0; number < 20; ++number) {
        const auto probed = probe(testing::probe_program(), request);
        // The manifest is none, so the answer is a refusal of the child's own: it was asked.
        ASSERT_FALSE(probed) << number;
        ASSERT_NE(probed.error().code, "probe_crash") << number << ": " << probed.error().found;
        taken.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
}

TEST(Probe, SurvivesAChildThatNeverReads) {
    const testing::TempDir dir;
    ProbeRequest request;
    request.file = testing::install_plugin(dir, "minimal_c");
    request.golden = std::string(4 * 1024 * 1024, '\n');  // More than a pipe holds.
    const auto probed = probe("/bin/true", request);
    ASSERT_FALSE(probed);
    EXPECT_EQ(probed.error().code, "probe_crash");
    EXPECT_EQ(probed.error().found, "it exited with status 0 while starting");
}

}  // namespace
}  // namespace export_worker::plugin_host
