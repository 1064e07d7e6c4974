#include "daemon/server/list_admission.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <vector>

#include "daemon/server/limits.hpp"

namespace export_worker::server {
namespace {

using Entry = ListAdmission::Entry;

class ListAdmissionTest : public ::testing::Test {
protected:
    Call& enter(const std::string& organization, Entry expected) {
        Call& call = calls_.emplace_back();
        EXPECT_EQ(admission_.enter(call, organization), expected);
        return call;
    }
    std::vector<Call*> fill(const std::string& organization) {
        std::vector<Call*> out;
        for (std::size_t index = 0; index < limits::kListsRunningPerOrganization; ++index)
            out.push_back(&enter(organization, Entry::kRuns));
        for (std::size_t index = 0; index < limits::kListsWaitingPerOrganization; ++index)
            out.push_back(&enter(organization, Entry::kWaits));
        return out;
    }

    ListAdmission admission_;
    std::deque<Call> calls_;
};

TEST_F(ListAdmissionTest, BoundsEachOrganizationAlone) {
    fill("acme");
    enter("acme", Entry::kRefused);
    enter("other", Entry::kRuns);
}

TEST_F(ListAdmissionTest, WhatWaitsRunsInItsOrder) {
    const std::vector<Call*> calls = fill("acme");
    for (std::size_t over = 0; over < calls.size(); ++over) {
        const std::size_t next = over + limits::kListsRunningPerOrganization;
        EXPECT_EQ(admission_.leave(*calls[over]), next < calls.size() ? calls[next] : nullptr);
    }
    enter("acme", Entry::kRuns);
}

TEST_F(ListAdmissionTest, UnknownCallersAreNotCounted) {
    for (int index = 0; index < 100; ++index)
        EXPECT_EQ(admission_.leave(enter("", Entry::kRuns)), nullptr);
}

TEST_F(ListAdmissionTest, APlaceThatIsFreeIsTaken) {
    const std::vector<Call*> calls = fill("acme");
    EXPECT_EQ(admission_.leave(*calls[0]), calls[2]);
    enter("acme", Entry::kWaits);
    enter("acme", Entry::kRefused);
}

}  // namespace
}  // namespace export_worker::server
