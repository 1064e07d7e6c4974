#include "protocol/transport/message_guard.hpp"

#include <gtest/gtest.h>

#include <string>

#include "protocol/transport/limits.hpp"

namespace export_worker::transport {
namespace {

std::string greeting(char version = 3) {
    const std::string signature = "\xff" + std::string(8, '\0') + "\x7f" + version;
    return signature + std::string(version == 1 ? 1 : 53, '\0');
}
std::string frame(std::string_view body, bool more) {
    std::string out(1, more ? '\x01' : '\0');
    if (body.size() < 256) return out + static_cast<char>(body.size()) + std::string(body);
    out[0] |= 2;
    for (int shift = 56; shift >= 0; shift -= 8)
        out += static_cast<char>(body.size() >> static_cast<unsigned>(shift) & 0xffU);
    return out + std::string(body);
}
bool accept_in_place(FrameCounter& counter, std::string& bytes) {
    return counter.accept({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
}
bool accepts(FrameCounter& counter, std::string_view bytes) {
    std::string copy(bytes);
    return accept_in_place(counter, copy);
}
std::string repeat(const std::string& text, std::size_t count) {
    std::string out;
    for (std::size_t index = 0; index < count; ++index) out += text;
    return out;
}

TEST(FrameCounter, AMessageHasAtMostSoManyFrames) {
    FrameCounter counter;
    ASSERT_TRUE(accepts(counter, greeting()));
    const std::string legal =
        repeat(frame("x", true), limits::kMessageFramesMax - 1) + frame("", false);
    EXPECT_TRUE(accepts(counter, repeat(legal, 3)));
    EXPECT_TRUE(accepts(counter, repeat(frame("", true), limits::kMessageFramesMax)));
    EXPECT_FALSE(accepts(counter, frame("", true)));
    EXPECT_FALSE(accepts(counter, frame("", false))) << "and stays so";
}

TEST(FrameCounter, AMessageHasAtMostSoManyBytes) {
    FrameCounter counter;
    ASSERT_TRUE(accepts(counter, greeting()));
    const std::string large = frame(std::string(limits::kMessageBytesMax / 2, 'x'), true);
    EXPECT_TRUE(accepts(counter, large + frame("", false)));
    EXPECT_TRUE(accepts(counter, large + large));
    EXPECT_FALSE(accepts(counter, frame("x", true)));
    FrameCounter other;
    ASSERT_TRUE(accepts(other, greeting()));
    EXPECT_FALSE(accepts(other, "\x02\xff\xff\xff\xff\xff\xff\xff\xff")) << "announced is enough";
}

TEST(FrameCounter, BytesMayComeInAnyPieces) {
    FrameCounter counter;
    const std::string stream = greeting() + repeat(frame("hello", true), 100) +
                               frame(std::string(300, 'x'), false) +
                               repeat(frame("", true), limits::kMessageFramesMax);
    for (const char byte : stream) ASSERT_TRUE(accepts(counter, std::string_view(&byte, 1)));
    EXPECT_FALSE(accepts(counter, frame("", true)));
}

TEST(FrameCounter, CommandsAreNoPartOfAMessage) {
    FrameCounter counter;
    ASSERT_TRUE(accepts(counter, greeting()));
    EXPECT_TRUE(accepts(counter,
                        repeat(std::string("\x04\x05\x04PING", 7), limits::kMessageFramesMax + 1)));
}

// Behind a message that stops the input, libzmq must not find one after the peer has gone.
TEST(FrameCounter, APingBehindAMessageIsHidden) {
    const std::string ping("\x04\x07\x04PING\x00\x00", 9);
    std::string hidden = ping;
    hidden[3] = 'X';
    FrameCounter counter;
    ASSERT_TRUE(accepts(counter, greeting()));
    const auto after = [&](const std::string& bytes) {
        std::string out = bytes;
        EXPECT_TRUE(accept_in_place(counter, out));
        return out;
    };
    EXPECT_EQ(after(ping), ping);
    EXPECT_EQ(after(ping + ping + frame("x", false)), ping + ping + frame("x", false));
    EXPECT_EQ(after(frame("x", false) + ping + ping), frame("x", false) + hidden + hidden);
    EXPECT_EQ(after(frame("", false) + ping), frame("", false) + hidden);
    const std::string text = frame("PING\x04PING", false);
    EXPECT_EQ(after(text), text);
    // The end of a message, which began in another read.
    EXPECT_EQ(after(frame("abc", false).substr(0, 3)), frame("abc", false).substr(0, 3));
    EXPECT_EQ(after("bc" + ping), "bc" + hidden);
}

TEST(FrameCounter, OlderVersionsGreetShorterAndTheOldestIsRefused) {
    FrameCounter second;
    EXPECT_TRUE(accepts(second, greeting(1) + repeat(frame("", true), limits::kMessageFramesMax)));
    EXPECT_FALSE(accepts(second, frame("", true)));
    FrameCounter first;
    EXPECT_FALSE(accepts(first, greeting(0)));
    FrameCounter none;
    EXPECT_FALSE(accepts(none, "GET / HTTP/1.1\r\n"));
}

}  // namespace
}  // namespace export_worker::transport
