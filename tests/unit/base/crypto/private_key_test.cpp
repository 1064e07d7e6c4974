#include "base/crypto/private_key.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/test_keys.hpp"

namespace export_worker::crypto {
namespace {

TEST(PrivateKey, ReadsEveryFormAndSignsVerifiably) {
    const auto rsa = PrivateKey::parse(testing::kRsaKey);
    const auto ec = PrivateKey::parse(testing::kEcKey);
    ASSERT_TRUE(rsa && ec);
    EXPECT_EQ(rsa->kind(), PrivateKey::Kind::kRsa);
    EXPECT_EQ(ec->kind(), PrivateKey::Kind::kEcP256);
    for (const SignatureDigest digest : {SignatureDigest::kSha1, SignatureDigest::kSha256}) {
        EXPECT_TRUE(rsa->verify(digest, "text", rsa->sign(digest, "text")));
        EXPECT_FALSE(rsa->verify(digest, "texT", rsa->sign(digest, "text")));
        EXPECT_EQ(rsa->sign(digest, "text"),
                  PrivateKey::parse(testing::kRsaKeyPkcs1)->sign(digest, "text"));
    }
    EXPECT_TRUE(
        PrivateKey::parse(testing::kEcKeySec1)
            ->verify(SignatureDigest::kSha256, "text", ec->sign(SignatureDigest::kSha256, "text")));
    for (const std::string& bad :
         {std::string(), std::string("SEKRET"), std::string(testing::kEd25519Key),
          std::string(testing::kRsaKey).substr(0, 300),
          std::string("-----BEGIN PRIVATE KEY-----\nSEKRET\n-----END PRIVATE KEY-----\n")}) {
        const auto refused = PrivateKey::parse(bad);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(refused.error().message.find("SEKRET"), std::string::npos);
    }
}

TEST(PrivateKey, RefusesAShortRsaKey) {
    const auto refused = PrivateKey::parse(testing::kShortRsaKey);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message,
              "private key: expected an RSA key of at least 1024 bits, found a shorter one");
}

}  // namespace
}  // namespace export_worker::crypto
