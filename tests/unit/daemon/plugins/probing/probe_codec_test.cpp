#include "daemon/plugins/probing/probe_codec.hpp"

#include <gtest/gtest.h>

namespace export_worker::plugins {
namespace {

TEST(ProbeRequest, RefusesWhatIsNone) {
    const std::string good = encode_probe_request(ProbeRequest{});
    ASSERT_TRUE(decode_probe_request(good));
    for (const std::string& bad :
         {std::string(), std::string("{"), std::string("[]"), std::string("{}"),
          std::string(good).replace(good.find("\"create\":"), 9, "\"crate\":")}) {
        const auto refused = decode_probe_request(bad);
        ASSERT_FALSE(refused) << bad;
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
        EXPECT_TRUE(refused.error().message.starts_with("probe request: "))
            << refused.error().message;
    }
}

TEST(ProbeLines, AnEndThatIsCutShortIsNone) {
    const std::string begun = encode_probe_step("in create()");
    const std::string ended = encode_probe_end(ProbeReport{});
    EXPECT_TRUE(decode_probe_lines(begun + ended).ended);
    for (const std::string& cut :
         {ended.substr(0, ended.size() / 2), std::string("{}\n"), std::string("{\"methods\":7}\n"),
          std::string("{\"refusal\":[]}\n")}) {
        const ProbeEnd end = decode_probe_lines(begun + cut);
        EXPECT_FALSE(end.ended) << cut;
        EXPECT_EQ(end.last_step, "in create()");
    }
}

}  // namespace
}  // namespace export_worker::plugins
