#include "base/in_memory_error.hpp"

#include <gtest/gtest.h>

namespace export_worker {
namespace {

TEST(InMemoryError, SaysWhatHoldsHowLongAndWhatToDo) {
    const Error cause{ErrorCode::kResourceExhausted, "database: full"};
    const Error error = in_memory_error("The key 'k' is revoked", cause);
    EXPECT_EQ(error.code, ErrorCode::kResourceExhausted);
    EXPECT_EQ(error.message,
              "The key 'k' is revoked at once, but only until the daemon restarts: it could not be "
              "written (database: full); free space in state_dir, or see to the database, and run "
              "the command again");
    EXPECT_TRUE(is_in_memory_error(error));
    EXPECT_FALSE(is_in_memory_error(cause));
}

}  // namespace
}  // namespace export_worker
