#include "http_shim/access_log.hpp"

#include <gtest/gtest.h>

#include "http_shim/limits.hpp"

namespace export_worker::http_shim {
namespace {

constexpr Answered kLink{RouteKind::kCall, 200, true, std::chrono::milliseconds(1)};

// How many of `count` requests get a line.
int taken(Answered request, std::uint64_t sample, int count = 100) {
    AccessLog log;
    int lines = 0;
    for (int index = 0; index < count; ++index) lines += log.takes(request, sample) ? 1 : 0;
    return lines;
}

TEST(AccessLog, OneOfSoManyGoodRequestsGetsALine) {
    EXPECT_EQ(taken(kLink, 1), 100);
    EXPECT_EQ(taken(kLink, 10), 10);
    EXPECT_EQ(taken(kLink, 1000), 1);  // The first.
}

TEST(AccessLog, ErrorsCutAnswersAndSlowOnesAlwaysGetALine) {
    for (const int status : {304, 400, 404, 429, 500, 503}) {
        Answered request = kLink;
        request.status = status;
        EXPECT_EQ(taken(request, 1000), 100) << status;
    }
    Answered cut = kLink;
    cut.complete = false;
    EXPECT_EQ(taken(cut, 1000), 100);
    Answered slow = kLink;
    slow.taken = limits::kHttpSlowMin;
    EXPECT_EQ(taken(slow, 1000), 100);
}

TEST(AccessLog, ProbesAndScrapesGetALineOnlyWhenTheyFail) {
    for (const RouteKind kind : {RouteKind::kLivez, RouteKind::kReadyz, RouteKind::kMetrics}) {
        Answered request = kLink;
        request.kind = kind;
        EXPECT_EQ(taken(request, 1), 0);
        request.status = 503;
        EXPECT_EQ(taken(request, 1), 100);
    }
}

TEST(AccessLog, WhatAlwaysGetsALineTakesNoOthersTurn) {
    AccessLog log;
    Answered refused = kLink;
    refused.status = 404;
    EXPECT_TRUE(log.takes(kLink, 2));
    EXPECT_TRUE(log.takes(refused, 2));
    EXPECT_FALSE(log.takes(kLink, 2));
    EXPECT_TRUE(log.takes(kLink, 2));
}

}  // namespace
}  // namespace export_worker::http_shim
