#include "daemon/jobs/file_key.hpp"

#include <gtest/gtest.h>

namespace export_worker::jobs {
namespace {

TEST(FileKey, NamesJobEpochAndClaim) {
    ClaimedJob job;
    job.organization_id = "acme";
    job.lease = {"j", 3, "0a1b2c3d4e5f6071"};
    EXPECT_EQ(file_key(job, "csv.gz"), "acme/j.3-0a1b2c3d.csv.gz");
    EXPECT_EQ(job_id_of("acme/j.3-0a1b2c3d.csv.gz"), "j");
    EXPECT_EQ(job_id_of("acme/j.3.csv"), "j") << "of version 0.1";
    for (const char* foreign : {"acme/j.3-.csv", "acme/j.3-0a1b2c3.csv", "acme/j.-0a1b2c3d.csv",
                                "acme/j.3-0a1b2c3x.csv", "acme/j.x-0a1b2c3d.csv", "j.3.csv"})
        EXPECT_EQ(job_id_of(foreign), "") << foreign;
}

TEST(FileKey, AUrlNamesTheSameJobInEverySpelling) {
    for (const char* url :
         {"file:///srv/exports/acme/j.3-0a1b2c3d.csv", "s3://bucket/acme/j.3-0a1b2c3d.csv.gz",
          "https://h/bucket/a%63me/%6a.3%2D0a1b2c3d.csv", "s3://bucket/acme%2fj.3-0a1b2c3d.csv",
          "acme/j.3.csv", "https://h/acme/j.3-0a1b2c3d.csv?versionId=7"})
        EXPECT_EQ(job_id_of_url(url), "j") << url;
    for (const char* url : {"", "/", "j.3.csv", "/j.3.csv/", "s3://bucket/acme/report.csv",
                            "s3://bucket/acme/100%/x.csv", "https://h/j"})
        EXPECT_EQ(job_id_of_url(url), "") << url;
}

}  // namespace
}  // namespace export_worker::jobs
