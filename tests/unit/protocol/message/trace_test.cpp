#include "protocol/message/trace.hpp"

#include <gtest/gtest.h>

namespace export_worker::message {
namespace {

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736";
const std::string kGood = "00-" + kTrace + "-00f067aa0ba902b7-01";

TEST(Trace, GoesOnWithAStepOfItsOwn) {
    const std::string next = make_traceparent(kGood);
    EXPECT_TRUE(is_traceparent(next));
    EXPECT_EQ(trace_id_of(next), kTrace);
    EXPECT_TRUE(next.ends_with("-01")) << next;
    EXPECT_EQ(next.find("00f067aa0ba902b7"), std::string::npos);
    EXPECT_NE(make_traceparent(kGood), next);
}

TEST(Trace, ABadOneIsReplaced) {
    for (const std::string& bad :
         {std::string(), std::string("x"), "ff" + kGood.substr(2), kGood + "-x",
          "00-" + std::string(32, '0') + "-00f067aa0ba902b7-01",
          "00-" + kTrace + "-" + std::string(16, '0') + "-01",
          std::string("00-4BF92F3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")}) {
        EXPECT_FALSE(is_traceparent(bad)) << bad;
        EXPECT_EQ(trace_id_of(bad), "");
        const std::string made = make_traceparent(bad);
        EXPECT_TRUE(is_traceparent(made)) << made;
        EXPECT_TRUE(made.ends_with("-00"));
        EXPECT_NE(trace_id_of(made), kTrace);
    }
}

}  // namespace
}  // namespace export_worker::message
