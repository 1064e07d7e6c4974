#include "daemon/migration/tables.hpp"

#include <array>

namespace export_worker::migration {
namespace {

using enum ColumnType;

constexpr std::array kRegistry{Column{"registry_id", kText}};

// A running job's owner: a life of a daemon that is over, so that the first daemon puts the job
// back as it does for every daemon that has died.
#define EW_OWNER "coalesce(nullif(job.owner, ''), 'unknown')"
constexpr std::array kInstance{Column{"instance_id", kText},    Column{"name", kText},
                               Column{"version", kText},        Column{"started_at", kInstant},
                               Column{"lease_until", kInstant}, Column{"answers_until", kInstant}};
constexpr const char* kSelectInstance =
    "SELECT DISTINCT " EW_OWNER
    " AS id, 'SQLite', coalesce(version, ''), coalesce(instance.started_us, ?2 - ?1), ?2 - ?1, "
    "?2 - ?1 FROM job LEFT JOIN instance ON instance_id = job.owner WHERE status = 'in_progress' "
    "AND runner = 'daemon' ORDER BY id";

constexpr std::array kSetting{Column{"name", kText}, Column{"value", kBigint}};
constexpr const char* kSelectSetting =
    "SELECT name, CASE name WHEN 'links_end_us' THEN value - ?1 ELSE value END FROM setting WHERE "
    "name IN ('last_run_us', 'link_lifetime_us', 'links_end_us') ORDER BY name";

// The line's time of the start that a pending job waits for on the wall clock, where the line says
// otherwise by now; else NULL. As open_time_line() has it.
#define EW_START                                                                             \
    "CASE WHEN start_us IS NOT NULL AND status = 'pending' AND attempt = 0 AND max(due_us, " \
    "start_us + ?1) > ?2 AND abs(start_us + ?1 - due_us) > 1000000 THEN start_us + ?1 END"

constexpr std::array kOrganization{Column{"organization_id", kText},
                                   Column{"running_max", kInteger},
                                   Column{"weight", kInteger},
                                   Column{"held", kBoolean},
                                   Column{"unfinished_max", kBigint},
                                   Column{"stored_bytes_max", kBigint},
                                   Column{"requests_per_second_max", kInteger},
                                   Column{"virtual_time", kBigint},
                                   Column{"virtual_start", kBigint},
                                   Column{"running", kInteger},
                                   Column{"stored_bytes", kBigint},
                                   Column{"next_due", kInstant}};
// SQLite keeps where the last turn began once, PostgreSQL as the latest of all organizations.
constexpr const char* kSelectOrganization =
    "SELECT organization_id, running_max, weight, held, unfinished_max, stored_bytes_max, "
    "requests_per_second_max, virtual_time, (SELECT value FROM setting WHERE name = "
    "'virtual_time'), running, stored_bytes, (SELECT min(coalesce(" EW_START
    ", due_us)) - ?1 FROM job WHERE "
    "job.organization_id = organization.organization_id AND status = 'pending' AND runner = "
    "'daemon' AND job.held = 0) FROM organization ORDER BY organization_id";

constexpr std::array kJob{Column{"job_id", kText},
                          Column{"organization_id", kText},
                          Column{"job_type", kText},
                          Column{"runner", kText},
                          Column{"status", kText},
                          Column{"epoch", kBigint},
                          Column{"owner", kText},
                          Column{"claim_token", kText},
                          Column{"attempt", kInteger},
                          Column{"attempts_max", kInteger},
                          Column{"crashes", kInteger},
                          Column{"interruptions", kInteger},
                          Column{"priority", kSmallint},
                          Column{"held", kBoolean},
                          Column{"cancel_at", kInstant},
                          Column{"start_at", kInstant},
                          Column{"due_at", kInstant},
                          Column{"deadline_at", kInstant},
                          Column{"deadline_length_us", kBigint},
                          Column{"silence_us", kBigint},
                          Column{"seen_at", kInstant},
                          Column{"silent_at", kInstant},
                          Column{"created_at", kInstant},
                          Column{"started_at", kInstant},
                          Column{"completed_at", kInstant},
                          Column{"expired_at", kInstant},
                          Column{"spec", kText},
                          Column{"metadata", kText},
                          Column{"total_items", kBigint},
                          Column{"total_is_estimate", kBoolean},
                          Column{"processed_items", kBigint},
                          Column{"failed_items", kBigint},
                          Column{"warned_items", kBigint},
                          Column{"stage", kText},
                          Column{"message", kText},
                          Column{"error_message", kText},
                          Column{"file_url", kText},
                          Column{"filename", kText},
                          Column{"content_type", kText},
                          Column{"sha256", kText},
                          Column{"triggered_by", kText},
                          Column{"trace_id", kText},
                          Column{"report_id", kText},
                          Column{"idempotency_key", kText},
                          Column{"request_sha256", kText}};
constexpr const char* kSelectJob =
    "SELECT job_id, organization_id, job_type, runner, status, epoch, "
    "CASE WHEN status = 'in_progress' AND runner = 'daemon' THEN " EW_OWNER
    " END, "
    "nullif(claim_token, ''), attempt, attempts_max, crashes, interruptions, priority, held, "
    "cancel_us, start_us, coalesce(start, due_us) - ?1, "
    "deadline_us + coalesce(start - due_us, 0) - ?1, deadline_length_us, silence_us, "
    "seen_us - ?1, seen_us + silence_us - ?1, created_us, started_us, completed_us, expired_us, "
    "spec, metadata, total_items, total_is_estimate, processed_items, failed_items, warned_items, "
    "stage, message, error_message, file_url, filename, content_type, sha256, triggered_by, "
    "trace_id, report_id, idempotency_key, request_sha256 "
    "FROM (SELECT *, " EW_START " AS start FROM job) AS job ORDER BY job_id";

constexpr std::array kJobEntry{Column{"job_id", kText}, Column{"kind", kText},
                               Column{"number", kInteger}, Column{"body", kText}};
constexpr std::array kJobEvent{Column{"job_id", kText}, Column{"number", kInteger},
                               Column{"at", kInstant},  Column{"kind", kText},
                               Column{"actor", kText},  Column{"detail", kText},
                               Column{"count", kBigint}};
constexpr std::array kJobAccess{Column{"access_id", kBigint}, Column{"day", kInteger},
                                Column{"job_id", kText},      Column{"minute", kBigint},
                                Column{"kind", kText},        Column{"actor", kText},
                                Column{"at", kInstant},       Column{"count", kBigint}};

constexpr std::array kFile{Column{"file_key", kText},       Column{"job_id", kText},
                           Column{"epoch", kBigint},        Column{"claim_token", kText},
                           Column{"state", kText},          Column{"bytes", kBigint},
                           Column{"sha256", kText},         Column{"intended_at", kInstant},
                           Column{"delete_after", kInstant}};
constexpr const char* kSelectFile =
    "SELECT file_key, file.job_id, file.epoch, iif(job.epoch = file.epoch, job.claim_token, ''), "
    "state, bytes, file.sha256, intended_us, CASE WHEN state = 'expiring' THEN delete_after_us - "
    "?1 END FROM file JOIN job USING (job_id) ORDER BY file_key";

constexpr std::array kNotice{Column{"notice_id", kBigint}, Column{"sequence", kBigint},
                             Column{"event_id", kText},    Column{"organization_id", kText},
                             Column{"job_id", kText},      Column{"type", kText},
                             Column{"body", kText},        Column{"at", kInstant},
                             Column{"delivery", kText},    Column{"attempts", kInteger},
                             Column{"due_at", kInstant},   Column{"answer", kText}};
constexpr const char* kSelectNotice =
    "SELECT sequence, sequence, event_id, organization_id, job_id, type, body, at_us, delivery, "
    "attempts, due_us - ?1, answer FROM notice ORDER BY sequence";
constexpr std::array kNoticeNumber{Column{"last", kBigint}};

constexpr std::array kJobCount{Column{"organization_id", kText}, Column{"runner", kText},
                               Column{"status", kText}, Column{"job_type", kText},
                               Column{"jobs", kBigint}};
constexpr std::array kJobCountOfAll{Column{"status", kText}, Column{"job_type", kText},
                                    Column{"jobs", kBigint}};

constexpr std::array kProduct{Column{"organization_id", kKey},  Column{"key", kKey},
                              Column{"product_type", kText},    Column{"publish_status", kText},
                              Column{"is_published", kBoolean}, Column{"version", kBigint},
                              Column{"updated_at", kInstant},   Column{"body", kText}};
constexpr std::array kPropertyPath{Column{"organization_id", kKey}, Column{"path", kKey}};
constexpr std::array kProductCount{Column{"organization_id", kKey}, Column{"products", kBigint}};
constexpr std::array kPrice{Column{"organization_id", kKey},
                            Column{"product_key", kKey},
                            Column{"variant_key", kKey},
                            Column{"price_type", kKey},
                            Column{"currency", kKey},
                            Column{"brand_key", kKey},
                            Column{"effective_from_us", kBigint},
                            Column{"effective_to_us", kBigint},
                            Column{"amount", kText}};
constexpr std::array kTemplate{Column{"organization_id", kKey}, Column{"name", kKey},
                               Column{"body", kText}, Column{"updated_at", kInstant}};

constexpr std::array kApiKey{Column{"id", kText},
                             Column{"sha256", kText},
                             Column{"organization_id", kText},
                             Column{"name", kText},
                             Column{"permissions", kText},
                             Column{"created_us", kBigint},
                             Column{"revoked_us", kBigint},
                             Column{"expires_us", kBigint},
                             Column{"last_used_us", kBigint},
                             Column{"changed_version", kBigint}};
constexpr std::array kMember{Column{"subject", kText},      Column{"organization_id", kText},
                             Column{"roles", kText},        Column{"active", kBoolean},
                             Column{"changed_us", kBigint}, Column{"changed_version", kBigint}};
constexpr std::array kSession{Column{"sha256", kText},           Column{"id", kText},
                              Column{"subject", kText},          Column{"created_us", kBigint},
                              Column{"expires_us", kBigint},     Column{"revoked_us", kBigint},
                              Column{"changed_version", kBigint}};

using enum SourceFile;
constexpr std::array kTables{
    Table{"registry", kJobs, kRegistry, "SELECT registry_id FROM registry", "registry_id"},
    Table{"setting", kJobs, kSetting, kSelectSetting, "name COLLATE \"C\"", true},
    Table{"instance", kJobs, kInstance, kSelectInstance, "instance_id", true},
    Table{"organization", kJobs, kOrganization, kSelectOrganization, "organization_id"},
    Table{"job", kJobs, kJob, kSelectJob, "job_id"},
    Table{"job_entry", kJobs, kJobEntry,
          "SELECT job_id, kind, number, body FROM job_entry ORDER BY job_id, kind, number",
          "job_id, kind, number"},
    Table{
        "job_event", kJobs, kJobEvent,
        "SELECT job_id, number, at_us, kind, actor, detail, count FROM job_event ORDER BY job_id, "
        "number",
        "job_id, number"},
    Table{"job_access", kJobs, kJobAccess,
          "SELECT access_id, day, job_id, minute, kind, actor, at_us, count FROM job_access ORDER "
          "BY access_id",
          "access_id"},
    Table{"file", kJobs, kFile, kSelectFile, "file_key"},
    Table{"notice", kJobs, kNotice, kSelectNotice, "sequence"},
    Table{"notice_number", kJobs, kNoticeNumber,
          "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'notice'), 0)", "last"},
    Table{"job_count", kJobs, kJobCount,
          "SELECT organization_id, runner, status, job_type, count(*) FROM job GROUP BY "
          "organization_id, runner, status, job_type ORDER BY organization_id, runner, status, "
          "job_type",
          "organization_id, runner, status, job_type"},
    Table{"job_count_of_all", kJobs, kJobCountOfAll,
          "SELECT status, job_type, count(*) FROM job GROUP BY status, job_type ORDER BY status, "
          "job_type",
          "status, job_type"},
    Table{"product", kCatalog, kProduct,
          "SELECT organization_id, key, product_type, publish_status, is_published, version, "
          "updated_us, body FROM product ORDER BY organization_id, key",
          "organization_id, key"},
    Table{"property_path", kCatalog, kPropertyPath,
          "SELECT organization_id, path FROM property_path ORDER BY organization_id, path",
          "organization_id, path"},
    Table{"product_count", kCatalog, kProductCount,
          "SELECT organization_id, products FROM product_count ORDER BY organization_id",
          "organization_id"},
    Table{"price", kCatalog, kPrice,
          "SELECT organization_id, product_key, variant_key, price_type, currency, brand_key, "
          "effective_from_us, effective_to_us, amount FROM price ORDER BY organization_id, "
          "product_key, variant_key, price_type, currency, brand_key, effective_from_us",
          "organization_id, product_key, variant_key, price_type, currency, brand_key, "
          "effective_from_us"},
    Table{"export_template", kCatalog, kTemplate,
          "SELECT organization_id, name, body, updated_us FROM export_template ORDER BY "
          "organization_id, name",
          "organization_id, name"},
    Table{"api_key", kAuth, kApiKey,
          "SELECT id, sha256, organization_id, name, permissions, created_us, revoked_us, "
          "expires_us, last_used_us, 0 FROM api_key ORDER BY id",
          "id"},
    Table{"member", kAuth, kMember,
          "SELECT subject, organization_id, roles, active, changed_us, 0 FROM member ORDER BY "
          "subject, organization_id",
          "subject, organization_id"},
    Table{"session", kAuth, kSession,
          "SELECT sha256, id, subject, created_us, expires_us, revoked_us, 0 FROM session ORDER BY "
          "sha256",
          "sha256"}};

}  // namespace

const char* name_of(SourceFile file) {
    switch (file) {
        case kJobs: return "jobs.db";
        case kCatalog: return "catalog.db";
        case kAuth: return "auth.db";
    }
    return "";
}

std::span<const Table> tables() {
    return kTables;
}

}  // namespace export_worker::migration
