#include "daemon/cluster/instances.hpp"

#include <gtest/gtest.h>

namespace export_worker::cluster {
namespace {

Instance living(FileHashes hashes) {
    Instance out;
    out.lease_left = std::chrono::seconds(5);
    out.file_hashes = std::move(hashes);
    return out;
}

TEST(Instances, HashesOfFilesComeBackAsTheyWere) {
    const FileHashes hashes{{"link keys", "ab12"}, {"roles.ini", "cd34"}};
    EXPECT_EQ(parse_file_hashes(encode_file_hashes(hashes)), hashes);
    EXPECT_EQ(parse_file_hashes(""), FileHashes());
    EXPECT_EQ(parse_file_hashes("no blank\nab roles.ini"),
              (FileHashes{{"blank", "no"}, {"roles.ini", "ab"}}));
    EXPECT_EQ(parse_file_hashes("damaged\n\n"), FileHashes());
}

TEST(Instances, FilesThatLivingDaemonsDoNotHaveAlikeAreNamed) {
    EXPECT_TRUE(names_of_differing_files({}).empty());
    EXPECT_TRUE(names_of_differing_files({living({{"a", "1"}})}).empty());
    EXPECT_TRUE(names_of_differing_files({living({{"a", "1"}}), living({{"a", "1"}})}).empty());
    EXPECT_EQ(names_of_differing_files(
                  {living({{"a", "1"}, {"b", "1"}, {"c", "1"}}), living({{"a", "2"}, {"c", "1"}})}),
              (std::vector<std::string>{"a", "b"}));
    Instance dead = living({{"a", "2"}});
    dead.lease_left = std::chrono::seconds(0);
    EXPECT_TRUE(names_of_differing_files({living({{"a", "1"}}), dead}).empty());
}

}  // namespace
}  // namespace export_worker::cluster
