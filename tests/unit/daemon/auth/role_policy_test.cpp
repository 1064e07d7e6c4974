#include "daemon/auth/role_policy.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::auth {
namespace {

TEST(RolePolicy, RefusesRolesThatItsFileDoesNotName) {
    const testing::TempDir dir;
    const auto policy = RolePolicy::read(dir.write(
        "roles.ini", "[role.Viewer]\npermissions = job:read\n[role.Guest]\npermissions =\n"));
    ASSERT_TRUE(policy) << policy.error().message;
    const std::vector<std::string> known{"Viewer", "Guest"};
    EXPECT_TRUE(policy->check_roles(known));
    const std::vector<std::string> unknown{"Viewer", "Emperor"};
    const auto refused = policy->check_roles(unknown);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().message, "roles: expected one of Guest Viewer, found 'Emperor'");
    EXPECT_TRUE(RolePolicy().check_roles(unknown));
}

}  // namespace
}  // namespace export_worker::auth
