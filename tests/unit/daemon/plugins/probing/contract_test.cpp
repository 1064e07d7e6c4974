#include "daemon/plugins/probing/contract.hpp"

#include <gtest/gtest.h>

namespace export_worker::plugins {
namespace {

const PluginMethod kRead{"p.read", "", true};
const PluginMethod kWrite{"p.write", "", false};
const PluginMethod kReadOnce{"p.read", "", false};

TEST(Contract, TheLoadedPluginNamesTheMethodsOfItsProbe) {
    const auto found = [](const std::vector<PluginMethod>& loaded) {
        const auto checked = check_same_methods({kRead, kWrite}, loaded);
        return checked ? "" : checked.error().code + ": " + checked.error().found;
    };
    EXPECT_EQ(found({kRead, kWrite}), "");
    EXPECT_EQ(found({kWrite, kRead}), "");
    EXPECT_EQ(found({kRead}), "describe_failed: p.write is missing");
    EXPECT_EQ(found({kReadOnce, kWrite}), "describe_failed: p.read is not idempotent");
    EXPECT_EQ(found({kRead, kWrite, {"p.more", "", false}}), "describe_failed: p.more is new");
}

}  // namespace
}  // namespace export_worker::plugins
