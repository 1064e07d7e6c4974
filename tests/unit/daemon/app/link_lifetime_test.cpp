#include "daemon/app/link_lifetime.hpp"

#include <gtest/gtest.h>

namespace export_worker::app {
namespace {

TEST(LongestLinkLifetime, IsThatOfTheStoreWhoseLinksLiveLongest) {
    model::StoreSettings plain;
    plain.name = "plain";
    plain.kind = "local";
    plain.values = {{"kind", "local"},
                    {"root", "/x"},
                    {"base_url", "http://h"},
                    {"key_file", "/key"},
                    {"link_lifetime_s", "900"}};
    model::StoreSettings with_window = plain;
    with_window.name = "with_window";
    with_window.values["link_lifetime_s"] = "800";
    with_window.values["link_window_s"] = "300";
    EXPECT_EQ(longest_link_lifetime({}), std::chrono::seconds(0));
    EXPECT_EQ(longest_link_lifetime({plain}), std::chrono::seconds(900));
    EXPECT_EQ(longest_link_lifetime({with_window, plain}), std::chrono::seconds(1100));
}

}  // namespace
}  // namespace export_worker::app
