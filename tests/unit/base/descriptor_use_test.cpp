#include "base/descriptor_use.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/unique_fd.hpp"
#include "tests/unit/support/resource_limit.hpp"

namespace export_worker {
namespace {

TEST(DescriptorUse, CountsWhatIsOpenWhenNothingMoreCanBe) {
    const auto before = read_descriptor_use();
    ASSERT_TRUE(before);
    const testing::ResourceLimit limit(RLIMIT_NOFILE, before->open + 40);
    std::vector<UniqueFd> taken;
    while (UniqueFd fd{::open("/dev/null", O_RDONLY | O_CLOEXEC)}) taken.push_back(std::move(fd));
    const auto after = read_descriptor_use();
    ASSERT_TRUE(after);
    EXPECT_EQ(after->limit, before->open + 40);
    EXPECT_EQ(after->open, before->open + taken.size());
    EXPECT_FALSE(taken.empty());
}

}  // namespace
}  // namespace export_worker
