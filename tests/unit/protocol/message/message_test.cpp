// What a message of a stranger costs the loop that reads it.
#include <gtest/gtest.h>

#include "protocol/message/limits.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"
#include "tests/unit/support/cost.hpp"

namespace export_worker::message {
namespace {

using testing::kSlower;
using testing::milliseconds_of;

// A request whose parameters are `value`, in msgpack.
std::string with_params(const std::string& value) {
    return "\x83\xa1v\x01\xa6method\xa8sys.ping\xa6params" + value;
}

TEST(CostOfAMessage, IsLinearWhateverItsShape) {
    const auto filled = [](std::string_view begin, std::string_view each) {
        return testing::repeated(limits::kRequestBytesMax - 64, begin, each);
    };
    using namespace std::string_view_literals;
    const std::pair<const char*, std::string> shapes[]{
        {"array of nils", filled("\xdd\x00\x0f\xff\x00"sv, "\xc0"sv)},
        {"array of arrays", filled("\xdd\x00\x0f\xff\x00"sv, "\x90"sv)},
        {"array of maps", filled("\xdd\x00\x0f\xff\x00"sv, "\x80"sv)},
        {"deep arrays", filled("", "\x91"sv)},
        {"deep maps", filled("", "\x81\xa1\x61"sv)},
        {"a map of the same name", filled("\xdf\x00\x05\x00\x00"sv, "\xa1\x61\xc0"sv)},
        {"more elements than bytes", "\xdd\xff\xff\xff\xff"},
        {"more pairs than bytes", "\xdf\xff\xff\xff\xff"},
        {"a longer text than there is", "\xdb\xff\xff\xff\xff"},
        {"extensions", filled("\xdd\x00\x05\x00\x00"sv, "\xd4\x01\x00"sv)},
        {"one text", filled("\xdb\x00\x0f\x00\x00"sv, "aaaaaaaa"sv)},
        {"one text that is no UTF-8", filled("\xdb\x00\x0f\x00\x00"sv, "\xf0\x90"sv)},
    };
    for (const auto& [name, params] : shapes) {
        const std::string bytes = with_params(params);
        EXPECT_LE(milliseconds_of([&] { (void)decode_request(bytes); }), 20 * kSlower) << name;
        EXPECT_LE(milliseconds_of([&] { (void)decode_reply(bytes); }), 20 * kSlower) << name;
        EXPECT_LE(milliseconds_of([&] { (void)reply_id(bytes); }), 20 * kSlower) << name;
    }
}

}  // namespace
}  // namespace export_worker::message
