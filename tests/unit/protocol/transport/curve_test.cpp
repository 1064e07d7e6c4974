#include "protocol/transport/curve.hpp"

#include <gtest/gtest.h>

#include "protocol/transport/limits.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::transport {
namespace {

TEST(Curve, APublicKeyIsTheFirstLine) {
    const testing::TempDir dir;
    const CurveKeys keys = make_curve_keys();
    EXPECT_EQ(*read_curve_public_key(dir.write("good", keys.public_key + "\nmore\n")),
              keys.public_key);
    for (const std::string& bad : {std::string(), keys.public_key.substr(1), keys.public_key + " ",
                                   "\n" + keys.public_key, std::string(40, '"')}) {
        const std::string path = dir.write("bad", bad);
        const auto refused = read_curve_public_key(path);
        ASSERT_FALSE(refused) << bad;
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
        EXPECT_TRUE(
            refused.error().message.starts_with(path + ": expected a public key of 40 characters"))
            << refused.error().message;
    }
}

TEST(Curve, TheNumberOfClientsIsBounded) {
    const testing::TempDir dir;
    std::string lines;
    for (std::size_t index = 0; index < limits::kCurveClientsMax; ++index) {
        const std::string number = std::to_string(index);
        lines += "c" + number + " " + number + std::string(40 - number.size(), 'a') + "\n";
    }
    const auto all = read_curve_clients(dir.write("clients", lines));
    ASSERT_TRUE(all) << all.error().message;
    EXPECT_EQ(all->size(), limits::kCurveClientsMax);
    const auto refused =
        read_curve_clients(dir.write("clients", lines + "more " + std::string(40, 'b') + "\n"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
    EXPECT_EQ(refused.error().message, (dir / "clients") + ": expected at most " +
                                           std::to_string(limits::kCurveClientsMax) + " keys");
}

}  // namespace
}  // namespace export_worker::transport
