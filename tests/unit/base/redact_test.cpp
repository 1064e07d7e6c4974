#include "base/redact.hpp"

#include <gtest/gtest.h>

namespace export_worker {
namespace {

TEST(Redact, ACredentialIsFoundHoweverItIsSpelt) {
    for (const char* text : {"mo_0123",
                             "/tmp/mo_0123456789abcdef_ff",
                             "MO_0123",
                             "%6do_0123",
                             "%256do_01",
                             "xmo_0123456789",
                             "mos_abc",
                             "a mos_abc",
                             "abcmos_0123456789abcdefghij",
                             "%6D%6F%73_abc",
                             "https://h/exports/a?expires=1&sig=ab",
                             "https://h/a?X-Amz-Signature=ab",
                             "https://h/a?x-goog-signature=ab",
                             "https://h/a?Signature=ab&Key-Pair-Id=K",
                             "https://h/a?sv=1&sig%3Dab",
                             "?access_token=ab",
                             "?X-Amz-Security-Token=ab",
                             "?client_secret=ab",
                             "?api_key=ab",
                             "?x-API-Key=ab",
                             "?%61pikey=ab",
                             "?s%69g=ab",
                             "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"})
        EXPECT_TRUE(holds_credential(text)) << text;
}

TEST(Redact, OtherTextHasNone) {
    for (const char* text :
         {"", "demo_shop", "memo_2026.csv", "promos_may", "sig=", "sig=REDACTED", "design=1",
          "key=k1&expires=5", "100%", "%", "%zz", "tokens: 5", "status=200", "keyjar.txt",
          "01a21b3d-61bc-7453-8f97-baabfc4811e7", "https://h/exports/a?expires=1&filename=x"})
        EXPECT_FALSE(holds_credential(text)) << text;
}

TEST(Redact, OnlyTheWordsWithACredentialAreHidden) {
    EXPECT_EQ(hide_credentials("open /tmp/mo_0123: No such file"), "open (hidden) No such file");
    EXPECT_EQ(hide_credentials("{\"a\":[\"mos_abc\",\"b\"]}"), "{\"a\":[\"(hidden)\",\"b\"]}");
    EXPECT_EQ(hide_credentials("a\n'https://h/a?sig=ab' \n"), "a\n'(hidden)' \n");
    EXPECT_EQ(hide_credentials("plugin demo_shop 1.0: took 5%"), "plugin demo_shop 1.0: took 5%");
}

}  // namespace
}  // namespace export_worker
