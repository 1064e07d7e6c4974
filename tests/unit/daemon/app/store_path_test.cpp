#include "daemon/app/store_path.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::app {
namespace {

config::Config config_with(const std::string& state_dir, const std::string& root) {
    config::Config config;
    config.state_dir = state_dir;
    config.exports.workers = 1;
    config.exports.store = "local";
    model::StoreSettings store;
    store.name = "local";
    store.kind = "local";
    store.values = {{"root", root}};
    config.stores.push_back(std::move(store));
    return config;
}

TEST(CheckExportPath, InsideTheStateDirectoryThereIsNothingToSay) {
    for (const char* root : {"/no/such/state", "/no/such/state/exports", "/no/such/state/./a"})
        EXPECT_EQ(check_export_path(config_with("/no/such/state", root)).value(), "") << root;
}

TEST(CheckExportPath, OutsideOfItTheUnitNeedsALine) {
    const testing::TempDir dir;
    for (const std::string& root : {dir / "exports", dir / "state-2/exports"}) {
        const auto advice = check_export_path(config_with(dir / "state", root));
        ASSERT_TRUE(advice) << advice.error().message;
        EXPECT_NE(advice->find("ReadWritePaths=" + root), std::string::npos) << *advice;
    }
}

TEST(CheckExportPath, WithoutExportWorkersNothingIsWritten) {
    config::Config config = config_with("/state", "/elsewhere");
    config.exports.workers = 0;
    EXPECT_EQ(check_export_path(config).value(), "");
}

}  // namespace
}  // namespace export_worker::app
