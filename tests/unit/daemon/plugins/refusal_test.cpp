#include "daemon/plugins/refusal.hpp"

#include <gtest/gtest.h>

namespace export_worker::plugins {
namespace {

Refusal with_code(const std::string& code) {
    return {code, "probe", "a plugin that answers", "one that does not", "build a better one"};
}

TEST(Refusal, SaysWhereWhatWasExpectedWhatWasFoundAndWhatToDo) {
    EXPECT_EQ(to_text(with_code("probe_failed")),
              "plugin refused at probe: expected a plugin that answers; found one that does not; "
              "build a better one");
}

TEST(Refusal, WhatIsInTheWayIsAConflict) {
    EXPECT_EQ(to_error(with_code("busy")).code, ErrorCode::kConflict);
    EXPECT_EQ(to_error(with_code("conflict")).code, ErrorCode::kConflict);
    EXPECT_EQ(to_error(with_code("lint")).code, ErrorCode::kFailedPrecondition);
    EXPECT_EQ(to_error(with_code("lint")).message, to_text(with_code("lint")));
}

TEST(Refusal, AFileThatTookTheDaemonDownCostsIt) {
    EXPECT_TRUE(costs_the_daemon(with_code("quarantined")));
    EXPECT_TRUE(costs_the_daemon(with_code("load_timeout")));
    EXPECT_FALSE(costs_the_daemon(with_code("create_failed")));
}

TEST(Refusal, ADiskErrorKeepsItsWordsAndThatItPasses) {
    const Refusal refusal = refusal_of("staging", {ErrorCode::kResourceExhausted, "no space left"});
    EXPECT_EQ(to_error(refusal).code, ErrorCode::kResourceExhausted);
    EXPECT_EQ(refusal.code, "io");
    EXPECT_EQ(refusal.stage, "staging");
    EXPECT_EQ(refusal.found, "no space left");
}

}  // namespace
}  // namespace export_worker::plugins
