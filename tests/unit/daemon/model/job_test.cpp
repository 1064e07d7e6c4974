#include "daemon/model/job.hpp"

#include <gtest/gtest.h>

#include "base/json.hpp"
#include "base/json_fields.hpp"

namespace export_worker::model {
namespace {

TEST(JobStatus, NamesComeBack) {
    for (const JobStatus status :
         {JobStatus::kPending, JobStatus::kInProgress, JobStatus::kCompleted,
          JobStatus::kCompletedWithWarnings, JobStatus::kPartialSuccess, JobStatus::kFailed,
          JobStatus::kCancelled}) {
        EXPECT_EQ(parse_job_status(to_string(status)), status) << to_string(status);
        EXPECT_EQ(is_final(status),
                  status != JobStatus::kPending && status != JobStatus::kInProgress);
    }
    for (const char* text : {"", "Pending", "done", "in progress", "pending "})
        EXPECT_EQ(parse_job_status(text), std::nullopt) << text;
}

TEST(JobPriority, NamesComeBack) {
    const auto read = [](const nlohmann::json& value) -> std::optional<JobPriority> {
        const auto index = word_from(value, "priority", kJobPriorities);
        return index ? std::optional(static_cast<JobPriority>(*index)) : std::nullopt;
    };
    for (const JobPriority priority : {JobPriority::kLow, JobPriority::kNormal, JobPriority::kHigh})
        EXPECT_EQ(read(to_string(priority)), priority);
    for (const char* text : {"", "High", "urgent", "1"})
        EXPECT_EQ(read(text), std::nullopt) << text;
}

TEST(Job, OnlySomeTypesMakeAnExportFile) {
    for (const char* type : {"BULK_EXPORT", "export", "product_export"})
        EXPECT_TRUE(is_export_type(type)) << type;
    for (const char* type : {"", "bulk_export", "import", "export "})
        EXPECT_FALSE(is_export_type(type)) << type;
}

nlohmann::json shown(const char* body) {
    Notice notice;
    notice.sequence = 7;
    notice.body_json = body;
    return to_json(notice);
}

TEST(Notice, ShowsItsBodyWithItsOwnNumber) {
    EXPECT_EQ(shown(R"({"a":1,"sequence":1})"), (nlohmann::json{{"a", 1}, {"sequence", 7}}));
}

TEST(Notice, ABodyThatIsNoObjectIsAnEmptyOne) {
    for (const char* body : {"", "[]", "5", "{", "\xff"})
        EXPECT_EQ(shown(body), (nlohmann::json{{"sequence", 7}})) << body;
}

}  // namespace
}  // namespace export_worker::model
