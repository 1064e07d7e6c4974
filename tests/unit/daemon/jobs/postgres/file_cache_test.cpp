#include "daemon/jobs/postgres/file_cache.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <thread>
#include <vector>

namespace export_worker::jobs::pg {
namespace {

using model::JobFile;
using model::OrganizationScope;
using Found = FileCache::Found;

constexpr std::size_t kBytes = 1024 * 1024;

JobFile file_of(const std::string& job_id) {
    return {"acme",     "BULK_EXPORT", "completed", "s3://bucket/" + job_id,
            "name.csv", "text/csv",    "ab"};
}

void add(FileCache& cache, const std::string& job_id) {
    cache.add(job_id, file_of(job_id), cache.generation());
}

Found find(FileCache& cache, const std::string& job_id) {
    JobFile file;
    return cache.find(OrganizationScope::every(), job_id, file);
}

TEST(FileCache, GivesBackWhatWasAdded) {
    FileCache cache(1'000, kBytes);
    add(cache, "j");
    JobFile file;
    ASSERT_EQ(cache.find(OrganizationScope::one("acme"), "j", file), Found::kYes);
    EXPECT_EQ(file.organization_id, "acme");
    EXPECT_EQ(file.job_type, "BULK_EXPORT");
    EXPECT_EQ(file.status, "completed");
    EXPECT_EQ(file.file_url, "s3://bucket/j");
    EXPECT_EQ(file.filename, "name.csv");
    EXPECT_EQ(file.content_type, "text/csv");
    EXPECT_EQ(file.sha256, "ab");
    EXPECT_EQ(find(cache, "k"), Found::kNo);
}

TEST(FileCache, AnotherOrganizationsFileIsNotFilledIn) {
    FileCache cache(1'000, kBytes);
    add(cache, "j");
    JobFile file;
    EXPECT_EQ(cache.find(OrganizationScope::one("umbrella"), "j", file), Found::kOutsideScope);
    EXPECT_EQ(file.file_url, "");
}

TEST(FileCache, WhatIsForgottenIsNotThere) {
    FileCache cache(1'000, kBytes);
    for (const char* job_id : {"a", "b", "c"}) add(cache, job_id);
    const std::array<std::string, 2> gone{"a", "never there"};
    cache.forget(gone);
    EXPECT_EQ(find(cache, "a"), Found::kNo);
    EXPECT_EQ(find(cache, "b"), Found::kYes);
    cache.forget_all();
    EXPECT_EQ(cache.size(), 0U);
    EXPECT_EQ(cache.bytes(), 0U);
}

// The registry is read, the file is withdrawn, that is heard of, and only then is the answer added.
TEST(FileCache, AnAnswerFromBeforeAWithdrawalIsNotKept) {
    FileCache cache(1'000, kBytes);
    const std::uint64_t before = cache.generation();
    const std::array<std::string, 1> gone{"j"};
    cache.forget(gone);
    cache.add("j", file_of("j"), before);
    EXPECT_EQ(find(cache, "j"), Found::kNo);
}

TEST(FileCache, WhatWasAskedForLastStays) {
    FileCache cache(64, kBytes);
    add(cache, "used");
    for (int count = 0; count < 1'000; ++count) {
        add(cache, "other " + std::to_string(count));
        ASSERT_EQ(find(cache, "used"), Found::kYes) << count;
    }
    EXPECT_LE(cache.size(), 64U);
    EXPECT_EQ(find(cache, "other 0"), Found::kNo);
}

TEST(FileCache, BytesAreBounded) {
    FileCache cache(1'000'000, kBytes);
    for (int count = 0; count < 10'000; ++count) add(cache, "job " + std::to_string(count));
    EXPECT_LE(cache.bytes(), kBytes);
    EXPECT_GT(cache.bytes(), kBytes / 2);
    JobFile huge = file_of("huge");
    huge.filename.assign(kBytes, 'x');
    cache.add("huge", huge, cache.generation());
    EXPECT_EQ(find(cache, "huge"), Found::kNo);
}

TEST(FileCache, OfNoEntriesItKeepsNothing) {
    FileCache cache(0, kBytes);
    add(cache, "j");
    EXPECT_EQ(find(cache, "j"), Found::kNo);
}

TEST(FileCache, ManyThreadsAddFindAndForget) {
    FileCache cache(100, kBytes);
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&, thread] {
            JobFile file;
            for (int count = 0; count < 2'000; ++count) {
                const std::string job_id = std::to_string((count * 7 + thread) % 150);
                add(cache, job_id);
                if (cache.find(OrganizationScope::every(), job_id, file) == Found::kYes) {
                    EXPECT_EQ(file.file_url, "s3://bucket/" + job_id);
                }
                cache.forget(std::span(&job_id, 1));
            }
        });
    }
}

}  // namespace
}  // namespace export_worker::jobs::pg
