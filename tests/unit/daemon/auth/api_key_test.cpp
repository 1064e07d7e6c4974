#include "daemon/auth/api_key.hpp"

#include <gtest/gtest.h>

namespace export_worker::auth {
namespace {

TEST(ApiKey, IsSeenInWhateverSurroundsIt) {
    const std::string key = make_api_key().text;
    EXPECT_EQ(api_key_id(key), key.substr(3, 16));
    for (const std::string& text :
         {key, "Bearer " + key, key + "=", "x" + key.substr(0, 11), std::string("MO_0123ABCD"),
          std::string("{\"a\":\"Mo_01234567")})
        EXPECT_TRUE(has_api_key(text)) << text;
    for (const std::string& text : {std::string(), key.substr(1), key.substr(0, 10),
                                    std::string("mo_0123456x"), std::string("memo-01234567")})
        EXPECT_FALSE(has_api_key(text)) << text;
}

}  // namespace
}  // namespace export_worker::auth
