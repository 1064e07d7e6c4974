#include "daemon/control/plugin_file_methods.hpp"

#include <unistd.h>

#include "base/base64.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "tests/unit/daemon/control/control_fixture.hpp"

namespace export_worker::control {
namespace {

class PluginFileMethodsTest : public ControlFixture {};

TEST_F(PluginFileMethodsTest, AFileIsSentInPieces) {
    EXPECT_EQ(call("control.plugin_file_owner")["daemon_uid"], ::geteuid());
    const json begun = call("control.plugin_file_begin",
                            {{"bytes", 4}, {"sha256", to_hex(crypto::sha256("0123"))}});
    for (const char* piece : {"01", "23"}) {
        call("control.plugin_file_append", {{"id", begun["id"]},
                                            {"offset", piece == std::string("01") ? 0 : 2},
                                            {"base64", to_base64(piece)}});
    }
    const auto path = sent_files_.take(begun["id"].get<std::string>());
    ASSERT_TRUE(path) << path.error().message;
    EXPECT_EQ(testing::read_text(*path), "0123");
}

TEST_F(PluginFileMethodsTest, ParametersAreChecked) {
    const std::string hash(64, 'a');
    for (const json& bytes : std::initializer_list<json>{nullptr, -1, 1.5, "4"})
        EXPECT_TRUE(refusal("control.plugin_file_begin", {{"bytes", bytes}, {"sha256", hash}})
                        .starts_with("invalid_argument: bytes"))
            << bytes;
    for (const json& sha256 : std::initializer_list<json>{nullptr, 5, "", "abc"})
        EXPECT_TRUE(refusal("control.plugin_file_begin", {{"bytes", 4}, {"sha256", sha256}})
                        .starts_with("invalid_argument: sha256"))
            << sha256;
    const json id = call("control.plugin_file_begin", {{"bytes", 4}, {"sha256", hash}})["id"];
    for (const json& base64 : std::initializer_list<json>{nullptr, 5, "a", "****"})
        EXPECT_TRUE(
            refusal("control.plugin_file_append", {{"id", id}, {"offset", 0}, {"base64", base64}})
                .starts_with("invalid_argument: base64"))
            << base64;
}

TEST_F(PluginFileMethodsTest, OnlyRootAndTheDaemonsUserSendCode) {
    EXPECT_TRUE(check_sender(0));
    EXPECT_TRUE(check_sender(static_cast<std::int64_t>(::geteuid())));
    for (const std::int64_t uid : {std::int64_t{-1}, std::int64_t{::geteuid()} + 1})
        EXPECT_EQ(check_sender(uid).error().code, ErrorCode::kPermissionDenied) << uid;
}

}  // namespace
}  // namespace export_worker::control
