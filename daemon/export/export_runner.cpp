#include "daemon/export/export_runner.hpp"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <span>
#include <thread>

#include "base/assert.hpp"
#include "base/backoff.hpp"
#include "base/fault_point.hpp"
#include "base/io.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "daemon/export/limits.hpp"
#include "daemon/format/columns.hpp"
#include "daemon/format/compressor.hpp"
#include "daemon/format/product_encoder.hpp"
#include "daemon/jobs/file_key.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::exports {
namespace {

using jobs::ClaimedJob;
using model::ExportSpec;
using nlohmann::json;

// Tells the registry that we live, at most every kJobHeartbeatInterval: one call says that, says
// how far we are, and returns whether cancellation was requested.
class Heartbeat {
public:
    Heartbeat(const ExportDeps& deps, const ClaimedJob& job, std::int64_t total, RunWatch& watch)
        : deps_(deps), job_(job), total_(total), watch_(watch), began_(deps.clock->steady()) {}

    // Errors: kCancelled when it was requested, kUnavailable when the process stops, kConflict
    // when the lease is lost, kDeadlineExceeded when the attempt takes too long.
    Result<void> send(std::int64_t processed, std::string_view stage) {
        if (watch_.stopping.load(std::memory_order_relaxed))
            return fail(ErrorCode::kUnavailable, "the daemon is stopping");
        const SteadyTime now = deps_.clock->steady();
        watch_.progressed_at.store(now, std::memory_order_relaxed);
        if (now - began_ > deps_.policy.attempt_limit)
            return fail(ErrorCode::kDeadlineExceeded,
                        "the attempt took longer than the " +
                            std::to_string(deps_.policy.attempt_limit.count()) + " s one may take");
        if (!deps_.standing.counts()) {
            watch_.was_hindered = true;
            return fail(ErrorCode::kUnavailable,
                        "the database has not answered for as long as a lease lasts");
        }
        if (last_ && stage == stage_ && now - *last_ < limits::kJobHeartbeatInterval) return {};
        last_ = now;
        stage_ = stage;
        const auto cancel = deps_.jobs->queue().heartbeat(job_.lease, {processed, total_, stage});
        // Written or not, the next one says more. Where the database is shared it may be changing
        // servers, and the lease says when that has taken too long.
        if (!cancel &&
            (cancel.error().code == ErrorCode::kUnknownOutcome ||
             (deps_.standing.is_shared() && cancel.error().code == ErrorCode::kUnavailable)))
            return {};
        if (!cancel) return fail(cancel.error());
        if (*cancel) return fail(ErrorCode::kCancelled, "cancelled");
        return {};
    }

private:
    const ExportDeps& deps_;
    const ClaimedJob& job_;
    const std::int64_t total_;
    RunWatch& watch_;
    const SteadyTime began_;
    std::optional<SteadyTime> last_;
    std::string_view stage_;  // Of literals.
};

// Encoded bytes on their way into the pending file.
class FileSink final : public format::ByteSink {
public:
    explicit FileSink(files::PendingFile& file) : file_(file) {}
    Result<void> write(std::string_view bytes) override { return file_.append(bytes); }

private:
    files::PendingFile& file_;
};

std::string default_filename(const ClaimedJob& job, const ExportSpec& spec) {
    return "products-" + to_iso8601(job.created_us).substr(0, 10) + "-" +
           job.lease.job_id.substr(job.lease.job_id.size() - 8) + "." + model::file_extension(spec);
}

Result<ExportSpec> read_spec(const ClaimedJob& job) {
    const json object = parse_json(job.spec_json);
    if (object.is_discarded())
        return fail(ErrorCode::kInvalidArgument, "the stored request is not JSON");
    return model::parse_export_spec(object);
}

// Everything one attempt has open.
struct Attempt {
    ExportSpec spec;
    std::vector<format::Column> columns;
    catalog::BatchQuery query;
    std::int64_t total = 0;
    std::int64_t as_of_us = 0;
    model::FileKey key;
    std::vector<model::JobEntry> missing;  // Keys that were asked for and that no product has.
    std::int64_t missing_count = 0;
};

Result<void> write_all_products(const ExportDeps& deps, Attempt& attempt,
                                format::ProductEncoder& encoder, Heartbeat& heartbeat) {
    std::vector<model::Product> batch;
    std::int64_t seen = 0;
    while (!attempt.query.at_end) {
        EW_CHECK(deps.catalog->read_batch(attempt.query, batch));
        for (model::Product& product : batch) EW_CHECK(encoder.append(product));
        seen += static_cast<std::int64_t>(batch.size());
        fault_point("run.batch");
        EW_CHECK(heartbeat.send(seen, "reading"));
    }
    return {};
}

void record_missing(Attempt& attempt, const std::string& key) {
    ++attempt.missing_count;
    if (attempt.missing.size() >= limits::kExportNotesMax) return;
    model::JobEntry entry;
    entry.entity_key = key;
    entry.entity_type = "product";
    entry.error_type = "not_found";
    entry.message = "The catalog has no product with this key";
    attempt.missing.push_back(std::move(entry));
}

Result<void> write_listed_products(const ExportDeps& deps, Attempt& attempt,
                                   format::ProductEncoder& encoder, Heartbeat& heartbeat) {
    std::vector<model::Product> batch;
    std::int64_t seen = 0;
    std::span<const std::string> keys(attempt.spec.product_keys);
    while (!keys.empty()) {
        EW_TRY(const std::size_t looked_up, deps.catalog->find(attempt.query, keys, batch));
        EW_ASSERT(looked_up > 0 && looked_up <= keys.size());
        auto product = batch.begin();
        for (const std::string& key : keys.first(looked_up)) {
            if (product != batch.end() && product->key == key) {
                EW_CHECK(encoder.append(*product++));
            } else {
                record_missing(attempt, key);
            }
            EW_CHECK(heartbeat.send(++seen, "reading"));
        }
        keys = keys.subspan(looked_up);
    }
    return {};
}

Result<Attempt> prepare(const ExportDeps& deps, const ClaimedJob& job) {
    Attempt attempt;
    EW_TRY(attempt.spec, read_spec(job));
    const bool whole = attempt.spec.variants == model::VariantMode::kNested;
    if (!whole) {
        EW_TRY(const std::vector<std::string> paths,
               deps.catalog->property_paths(job.organization_id));
        EW_TRY(attempt.columns, format::resolve_columns(attempt.spec, paths));
    }
    EW_TRY(attempt.total, deps.catalog->count(job.organization_id));
    if (!attempt.spec.product_keys.empty())
        attempt.total = static_cast<std::int64_t>(attempt.spec.product_keys.size());
    attempt.as_of_us = deps.clock->unix_us();
    attempt.query.organization_id = job.organization_id;
    attempt.query.with_prices = format::wants_prices(attempt.columns);
    attempt.query.prices_at_us = attempt.as_of_us;
    attempt.key = jobs::file_key(job, model::file_extension(attempt.spec));
    return attempt;
}

// What a reader of the job can check the file against.
json manifest(const ExportDeps& deps, const Attempt& attempt, const format::EncodeReport& report,
              const model::FileReceipt& receipt) {
    const ExportSpec& spec = attempt.spec;
    json out = {{"format", model::to_string(spec.format)},
                {"content_type", model::media_type(spec)},
                {"compression", model::to_string(spec.compression)},
                {"variants", model::to_string(spec.variants)},
                {"products", report.products},
                {"rows", report.rows},
                {"bytes", receipt.bytes},
                {"sha256", receipt.sha256},
                {"as_of", to_iso8601(attempt.as_of_us)},
                {"tool", "export-worker " + deps.version}};
    if (!attempt.columns.empty()) {
        out["columns"] = attempt.columns.size();
        out["columns_sha256"] = format::columns_hash(attempt.columns);
    }
    if (spec.format == model::ExportFormat::kCsv) {
        out["profile"] = model::to_string(spec.profile);
        out["formulas"] = model::to_string(spec.formulas);
        out["guarded_cells"] = report.guarded_cells;
    }
    if (spec.format == model::ExportFormat::kXlsx) out["sheets"] = report.sheets;
    for (const auto& [name, count] : {std::pair("missing_products", attempt.missing_count),
                                      std::pair("skipped_products", report.skipped_products),
                                      std::pair("truncated_cells", report.truncated_cells),
                                      std::pair("mismatched_cells", report.mismatched_cells)}) {
        if (count > 0) out[name] = count;
    }
    return out;
}

jobs::Completion completion_of(const ExportDeps& deps, const ClaimedJob& job, Attempt& attempt,
                               const format::EncodeReport& report, model::FileReceipt receipt) {
    jobs::Completion out;
    out.filename =
        attempt.spec.filename.empty() ? default_filename(job, attempt.spec) : attempt.spec.filename;
    out.processed_items = report.products;
    out.failed_items = attempt.missing_count + report.skipped_products;
    out.warned_items = report.truncated_cells + report.mismatched_cells;
    out.errors = std::move(attempt.missing);
    out.errors.insert(out.errors.end(), report.errors.begin(), report.errors.end());
    out.warnings = report.warnings;
    out.metadata_json = dump_json(manifest(deps, attempt, report, receipt));
    out.file = std::move(receipt);
    return out;
}

// Until the next try; false: the process stops first. `what` of the job could not be recorded.
bool wait_to_record(const ExportDeps& deps, const ClaimedJob& job, const char* what,
                    const Error& error, const RunWatch& watch) {
    log_error("job {}: its {} could not be recorded: {}", job.lease.job_id, what, error.message);
    const SteadyTime next = deps.clock->steady() + limits::kJobRecordInterval;
    while (deps.clock->steady() < next) {
        if (watch.stopping.load()) return false;
        std::this_thread::sleep_for(limits::kJobRecordInterval / 20);
    }
    return true;
}

// A commit whose answer was lost is run again until the registry says what it did. Errors: as
// JobQueue::intend_file(); kUnavailable when the process stops first.
Result<void> intend(const ExportDeps& deps, const ClaimedJob& job, const model::FileKey& key,
                    const RunWatch& watch) {
    for (auto run = jobs::Run::kFirst;; run = jobs::Run::kAgain) {
        auto intended = deps.jobs->queue().intend_file(job.lease, key, run);
        if (intended || intended.error().code != ErrorCode::kUnknownOutcome) return intended;
        if (!wait_to_record(deps, job, "file", intended.error(), watch))
            return fail(ErrorCode::kUnavailable, "the daemon is stopping");
    }
}

// The same with the end. Errors: as JobQueue::complete(); kUnknownOutcome when the process stops
// first.
Result<void> complete(const ExportDeps& deps, const ClaimedJob& job,
                      const jobs::Completion& completion, const RunWatch& watch) {
    jobs::JobQueue& queue = deps.jobs->queue();
    auto first = queue.complete(job.lease, completion);
    if (first || first.error().code != ErrorCode::kUnknownOutcome) return first;
    fault_point("run.outcome_unknown");
    for (Error error = first.error(); wait_to_record(deps, job, "end", error, watch);) {
        auto again = queue.complete(job.lease, completion, jobs::Run::kAgain);
        if (again || again.error().code == ErrorCode::kConflict ||
            again.error().code == ErrorCode::kCancelled)
            return again;
        error = again.error();
    }
    return first;
}

// `intended`: the key of the file once there may be one.
Result<void> produce(const ExportDeps& deps, const ClaimedJob& job, RunWatch& watch,
                     std::optional<model::FileKey>& intended) {
    fault_point("run.claimed");
    EW_TRY(Attempt attempt, prepare(deps, job));
    const ExportSpec& spec = attempt.spec;
    if (!spec.filter.empty()) attempt.query.filter = &spec.filter;
    Heartbeat heartbeat(deps, job, attempt.total, watch);
    EW_CHECK(heartbeat.send(0, "preparing"));

    // The order of a publication; life_of_an_export.md says what a crash between any two steps
    // leaves.
    EW_CHECK(intend(deps, job, attempt.key, watch));
    intended = attempt.key;
    fault_point("run.intended");
    EW_TRY(const std::unique_ptr<files::PendingFile> file,
           deps.files->create(
               {attempt.key, std::string(model::media_type(spec)),
                static_cast<std::uint64_t>(attempt.total) * limits::kUploadRowBytesEstimate}));
    FileSink sink(*file);
    EW_TRY(const std::unique_ptr<format::Compressor> compressor,
           format::make_compressor(spec.compression, sink));
    const auto encoder =
        format::make_encoder({&spec, attempt.columns, compressor.get(), deps.temporary_directory});
    EW_CHECK(encoder->begin());
    if (spec.product_keys.empty()) {
        EW_CHECK(write_all_products(deps, attempt, *encoder, heartbeat));
    } else {
        EW_CHECK(write_listed_products(deps, attempt, *encoder, heartbeat));
    }
    EW_CHECK(heartbeat.send(encoder->report().products, "publishing"));
    EW_CHECK(encoder->finish());
    EW_CHECK(compressor->finish());
    EW_TRY(model::FileReceipt receipt, file->commit());
    log_info("job {}: stored {}, {} bytes", job.lease.job_id, receipt.key, receipt.bytes);
    const format::EncodeReport& report = encoder->report();
    const jobs::Completion completion =
        completion_of(deps, job, attempt, report, std::move(receipt));
    fault_point("run.before_completion");
    EW_CHECK(complete(deps, job, completion, watch));
    fault_point("run.completed");
    log_info("job {}: published {} products, {} rows, {} bytes", job.lease.job_id, report.products,
             report.rows, completion.file.bytes);
    return {};
}

// A store that went away under an attempt explains whatever error came of that.
std::optional<Error> away_instead_of(const ExportDeps& deps, const Error& error) {
    if (error.code == ErrorCode::kCancelled || error.code == ErrorCode::kConflict ||
        error.code == ErrorCode::kInvalidArgument || error.code == ErrorCode::kUnknownOutcome)
        return std::nullopt;
    std::string problem = deps.files->problem();
    if (problem.empty()) return std::nullopt;
    return Error{ErrorCode::kUnavailable, std::move(problem)};
}

// Says what became of an attempt that did not publish.
Result<void> record_end(const ExportDeps& deps, const ClaimedJob& job, const Error& error,
                        bool interrupted, jobs::Run run) {
    jobs::JobQueue& queue = deps.jobs->queue();
    // Interrupted is not failed: the attempt is given back.
    if (interrupted && error.code == ErrorCode::kUnavailable) return queue.release(job.lease, run);
    switch (error.code) {
        case ErrorCode::kCancelled: return queue.cancelled(job.lease, run);
        case ErrorCode::kConflict: return {};  // The lease is lost: somebody else says how it ends.
        default: break;
    }
    const bool permanent = error.code == ErrorCode::kInvalidArgument;
    return queue.give_up_attempt(job.lease, error.message, permanent,
                                 retry_delay(deps.policy, job.attempt).count(), run);
}

// Nobody else would: a job whose end is not recorded stays in progress. When the process stops
// first, the next one takes the job back.
void record_end_at_last(const ExportDeps& deps, const ClaimedJob& job, const Error& error,
                        const RunWatch& watch) {
    auto run = jobs::Run::kFirst;
    for (;;) {
        const bool interrupted = watch.was_hindered || watch.stopping.load();
        const auto recorded = record_end(deps, job, error, interrupted, run);
        if (recorded || recorded.error().code == ErrorCode::kConflict) return;
        if (recorded.error().code == ErrorCode::kUnknownOutcome) run = jobs::Run::kAgain;
        if (!wait_to_record(deps, job, "end", recorded.error(), watch)) return;
    }
}

// What workbooks a dead process was writing have left.
Result<void> empty_directory(const std::string& path) {
    EW_CHECK(make_directories(path, 0700));
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(path, error))
        std::filesystem::remove(entry.path(), error);
    if (error) return fail(errno_error("empty " + path, error.value()));
    return {};
}

Result<void> drop_file(const ExportDeps& deps, const model::FileKey& key) {
    EW_TRY(const bool existed, deps.files->remove(key));
    fault_point("drop.removed");
    if (existed) log_info("deleted the unpublished file {}", key);
    return deps.jobs->files().forget_file(key);
}

void drop_unpublished_file(const ExportDeps& deps, const ClaimedJob& job,
                           const model::FileKey& key) {
    if (auto dropped = drop_file(deps, key); !dropped)
        log_warn("job {}: left to the sweep: {}", job.lease.job_id, dropped.error().message);
}

}  // namespace

std::chrono::microseconds retry_delay(const RunPolicy& policy, int attempt) {
    return full_jitter(policy.retry_base, policy.retry_max, attempt - 1);
}

Result<void> run_export(const ExportDeps& deps, const ClaimedJob& job, RunWatch& watch) {
    const LogScope scope("", job.trace_id);
    log_info("job {}: attempt {} with epoch {}", job.lease.job_id, job.attempt, job.lease.epoch);
    std::optional<model::FileKey> intended;
    watch.was_hindered = false;
    auto done = produce(deps, job, watch, intended);
    if (done) return done;
    if (auto away = away_instead_of(deps, done.error())) {
        watch.was_hindered = true;
        done = fail(std::move(*away));
    }
    const Error& error = done.error();
    log_text(error.code == ErrorCode::kCancelled ? LogLevel::kInfo : LogLevel::kWarn, "job {}: {}",
             fmt::make_format_args(job.lease.job_id, error.message));
    // The file may be published: the next start reads in the registry whether it is.
    if (error.code == ErrorCode::kUnknownOutcome && watch.stopping.load()) return done;
    fault_point("run.before_cleanup");
    // The file first, because its space may be what the registry lacks.
    if (intended) drop_unpublished_file(deps, job, *intended);
    record_end_at_last(deps, job, error, watch);
    return done;
}

Result<void> rescue_jobs(jobs::JobQueue& jobs) {
    EW_TRY(const std::size_t rescued, jobs.rescue());
    if (rescued > 0) log_warn("{} jobs of a process that died are pending again", rescued);
    return {};
}

Result<void> recover(const ExportDeps& deps) {
    EW_CHECK(empty_directory(deps.temporary_directory));
    EW_CHECK(rescue_jobs(deps.jobs->queue()));
    if (deps.files->is_remote()) return {};
    if (auto dropped = drop_unpublished(deps); !dropped)
        log_warn("unpublished files are left to the sweep: {}", dropped.error().message);
    return {};
}

Result<std::size_t> drop_unpublished(const ExportDeps& deps) {
    EW_TRY(const auto unpublished, deps.jobs->files().unpublished_files());
    for (const jobs::UnpublishedFile& file : unpublished) EW_CHECK(drop_file(deps, file.key));
    return unpublished.size();
}

Result<void> drop_withdrawn(const ExportDeps& deps, const std::atomic<bool>& stopping,
                            std::size_t& deleted) {
    deleted = 0;
    EW_TRY(const auto withdrawn, deps.jobs->files().deletable_files());
    std::vector<model::FileKey> gone;
    Result<void> failed;
    for (const model::FileKey& key : withdrawn) {
        if (stopping.load()) break;
        const auto removed = deps.files->remove(key);
        if (removed) gone.push_back(key);
        if (!removed && failed) failed = fail(removed.error());
        // A store that does not answer would be waited for again with each file.
        if (!removed && removed.error().code == ErrorCode::kUnavailable) break;
    }
    if (!gone.empty()) {
        fault_point("withdrawn.removed");
        EW_CHECK(deps.jobs->files().forget_files(gone));
    }
    deleted = gone.size();
    return failed;
}

Result<void> sweep(const ExportDeps& deps, std::chrono::seconds grace,
                   const std::atomic<bool>& stopping, Swept& out) {
    EW_TRY(out.unpublished, drop_unpublished(deps));
    const std::int64_t old_unix_s = deps.clock->unix_us() / 1'000'000 - grace.count();
    return deps.files->list([&](const files::ListedFile& file) -> Result<void> {
        if (stopping.load()) return fail(ErrorCode::kUnavailable, "the daemon is stopping");
        const std::string job_id = jobs::job_id_of(file.key);
        bool orphan = !job_id.empty() && file.modified_unix_s < old_unix_s;
        if (orphan) {
            EW_TRY(orphan, deps.jobs->files().is_orphan(file.key, job_id));
        }
        if (!orphan) {
            ++out.kept;
            return {};
        }
        EW_CHECK(deps.files->remove(file.key));
        log_debug("deleted {}: no job points to it", file.key);
        ++out.orphans;
        return {};
    });
}

}  // namespace export_worker::exports
