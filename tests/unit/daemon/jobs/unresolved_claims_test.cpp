#include "daemon/jobs/unresolved_claims.hpp"

#include <gtest/gtest.h>

namespace export_worker::jobs {
namespace {

TEST(UnresolvedClaims, EachTokenIsTakenOnce) {
    UnresolvedClaims claims;
    EXPECT_FALSE(claims.take());
    claims.keep("a");
    claims.keep("b");
    EXPECT_EQ(claims.take(), "b");
    EXPECT_EQ(claims.take(), "a");
    EXPECT_FALSE(claims.take());
}

TEST(UnresolvedClaims, TokensAreHexAndDiffer) {
    const std::string token = new_claim_token();
    EXPECT_EQ(token.size(), 16U);
    EXPECT_EQ(token.find_first_not_of("0123456789abcdef"), std::string::npos);
    EXPECT_NE(token, new_claim_token());
}

}  // namespace
}  // namespace export_worker::jobs
