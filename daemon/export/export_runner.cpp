#include "daemon/export/export_runner.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
#include <nlohmann/json.hpp>

#include "base/limits.hpp"
#include "base/text.hpp"
#include "daemon/format/product_encoder.hpp"

namespace export_worker::exports {
namespace {

using jobs::ClaimedJob;
using model::ExportSpec;
using nlohmann::json;

// Tells the registry that we live, at most every kJobHeartbeatInterval.
class Heart {
public:
    Heart(const ExportParts& parts, const ClaimedJob& job, std::int64_t total,
          const std::atomic<bool>& stopping)
        : parts_(parts), job_(job), total_(total), stopping_(stopping) {}

    // Errors: kCancelled when somebody asked for it or the process stops, kConflict when the lease
    // is lost.
    Result<void> beat(std::int64_t processed, std::string_view stage) {
        if (stopping_.load(std::memory_order_relaxed))
            return fail(ErrorCode::kUnavailable, "the daemon is stopping");
        const SteadyTime now = parts_.clock->steady();
        if (last_ && now - *last_ < limits::kJobHeartbeatInterval) return {};
        last_ = now;
        EW_TRY(const bool cancel, parts_.jobs->heartbeat(job_.lease, {processed, total_, stage}));
        if (cancel) return fail(ErrorCode::kCancelled, "cancelled");
        return {};
    }

private:
    const ExportParts& parts_;
    const ClaimedJob& job_;
    const std::int64_t total_;
    const std::atomic<bool>& stopping_;
    std::optional<SteadyTime> last_;
};

struct Written {
    std::int64_t products = 0;
    std::int64_t rows = 0;
    std::vector<model::JobEntry> warnings;
};

std::string default_filename(const ClaimedJob& job, model::ExportFormat format) {
    return "products-" + to_iso8601(job.created_us).substr(0, 10) + "-" +
           job.lease.job_id.substr(job.lease.job_id.size() - 8) + "." +
           std::string(model::to_string(format));
}

Result<ExportSpec> read_spec(const ClaimedJob& job) {
    const json object = json::parse(job.spec_json, nullptr, false);
    if (object.is_discarded())
        return fail(ErrorCode::kInvalidArgument, "the stored request is not JSON");
    return model::parse_export_spec(object);
}

Result<void> write_all_products(const ExportParts& parts, const ClaimedJob& job,
                                format::ProductEncoder& encoder, files::PendingFile& file,
                                Heart& heart, Written& written) {
    std::vector<model::Product> batch;
    std::string after;
    std::string bytes;
    for (;;) {
        EW_CHECK(parts.catalog->read_batch(job.organization_id, after, batch));
        if (batch.empty()) return {};
        for (const model::Product& product : batch) {
            EW_TRY(const std::size_t rows, encoder.append(product, bytes));
            written.rows += static_cast<std::int64_t>(rows);
            if (bytes.size() < limits::kFileWriteBufferBytes) continue;
            EW_CHECK(file.append(bytes));
            bytes.clear();
        }
        EW_CHECK(file.append(bytes));
        bytes.clear();
        written.products += static_cast<std::int64_t>(batch.size());
        after = batch.back().key;
        EW_CHECK(heart.beat(written.products, "reading"));
    }
}

Result<void> write_listed_products(const ExportParts& parts, const ClaimedJob& job,
                                   const ExportSpec& spec, format::ProductEncoder& encoder,
                                   files::PendingFile& file, Heart& heart, Written& written) {
    std::string bytes;
    for (const std::string& key : spec.product_keys) {
        auto product = parts.catalog->find(job.organization_id, key);
        if (!product && product.error().code != ErrorCode::kNotFound) return fail(product.error());
        if (!product) {
            model::JobEntry warning;
            warning.entity_key = key;
            warning.entity_type = "product";
            warning.error_type = "not_found";
            warning.message = "The catalog has no product with this key";
            written.warnings.push_back(std::move(warning));
            continue;
        }
        bytes.clear();
        EW_TRY(const std::size_t rows, encoder.append(*product, bytes));
        EW_CHECK(file.append(bytes));
        written.rows += static_cast<std::int64_t>(rows);
        ++written.products;
        EW_CHECK(heart.beat(written.products, "reading"));
    }
    return {};
}

Result<void> produce(const ExportParts& parts, const ClaimedJob& job,
                     const std::atomic<bool>& stopping,
                     std::optional<model::FileKey>& written_key) {
    EW_TRY(const ExportSpec spec, read_spec(job));
    EW_TRY(const std::vector<std::string> paths,
           parts.catalog->property_paths(job.organization_id));
    std::vector<model::ExportColumn> columns;
    if (spec.format == model::ExportFormat::kCsv || !spec.columns.empty()) {
        EW_TRY(columns, format::resolve_columns(spec.columns, paths));
    }
    EW_TRY(std::int64_t total, parts.catalog->count(job.organization_id));
    if (!spec.product_keys.empty()) total = static_cast<std::int64_t>(spec.product_keys.size());
    Heart heart(parts, job, total, stopping);
    EW_CHECK(heart.beat(0, "preparing"));

    // The order of a publication; life_of_an_export.md says what a crash between any two steps
    // leaves.
    const model::FileKey key = job.organization_id + "/" + job.lease.job_id + "." +
                               std::to_string(job.lease.epoch) + "." +
                               std::string(model::to_string(spec.format));
    EW_CHECK(parts.jobs->intend_file(job.lease, key));
    written_key = key;
    EW_TRY(
        const std::unique_ptr<files::PendingFile> file,
        parts.files->create({key, std::string(model::media_type(spec.format)),
                             static_cast<std::uint64_t>(total) * limits::kUploadRowBytesEstimate}));
    const auto encoder = format::make_encoder(spec.format, std::move(columns));
    std::string header;
    encoder->append_header(header);
    EW_CHECK(file->append(header));
    Written written;
    const std::int64_t as_of_us = parts.clock->unix_us();
    if (spec.product_keys.empty()) {
        EW_CHECK(write_all_products(parts, job, *encoder, *file, heart, written));
    } else {
        EW_CHECK(write_listed_products(parts, job, spec, *encoder, *file, heart, written));
    }
    EW_TRY(model::FileReceipt receipt, file->commit());

    jobs::Completion completion;
    completion.filename =
        spec.filename.empty() ? default_filename(job, spec.format) : spec.filename;
    completion.processed_items = written.products;
    completion.warnings = std::move(written.warnings);
    completion.metadata_json = json{
        {"format", model::to_string(spec.format)},
        {"content_type", model::media_type(spec.format)},
        {"rows", written.rows},
        {"bytes", receipt.bytes},
        {"sha256", receipt.sha256},
        {"as_of",
         to_iso8601(as_of_us)}}.dump();
    completion.file = std::move(receipt);
    EW_CHECK(parts.jobs->complete(job.lease, completion));
    spdlog::info("job {}: {} products, {} rows, {} bytes", job.lease.job_id, written.products,
                 written.rows, completion.file.bytes);
    return {};
}

std::int64_t retry_delay_us(int attempt) {
    const auto delay = std::min(limits::kJobRetryDelayBase * (1 << std::min(attempt - 1, 10)),
                                limits::kJobRetryDelayMax);
    return std::chrono::duration_cast<std::chrono::microseconds>(delay).count();
}

// Says what became of an attempt that did not publish.
Result<void> record_end(const ExportParts& parts, const ClaimedJob& job, const Error& error,
                        bool stopping) {
    // Interrupted is not failed: the attempt is given back.
    if (stopping && error.code == ErrorCode::kUnavailable) return parts.jobs->release(job.lease);
    switch (error.code) {
        case ErrorCode::kCancelled: return parts.jobs->cancelled(job.lease);
        case ErrorCode::kConflict: return {};  // The lease is lost: somebody else says how it ends.
        default: break;
    }
    const bool permanent = error.code == ErrorCode::kInvalidArgument;
    return parts.jobs->give_up_attempt(job.lease, error.message, permanent,
                                       retry_delay_us(job.attempt));
}

// "ORGANIZATION/JOB.EPOCH.csv" gives JOB; empty for a key no export has.
std::string job_id_of(std::string_view key) {
    const std::size_t slash = key.find('/');
    if (slash == std::string_view::npos || key.find('/', slash + 1) != std::string_view::npos)
        return "";
    const std::string_view name = key.substr(slash + 1);
    const std::size_t first = name.find('.');
    const std::size_t second = name.find('.', std::min(first + 1, name.size()));
    if (first == 0 || first == std::string_view::npos || second == std::string_view::npos ||
        !parse_unsigned(name.substr(first + 1, second - first - 1)))
        return "";
    return std::string(name.substr(0, first));
}

Result<void> drop_file(const ExportParts& parts, const model::FileKey& key) {
    EW_TRY(const bool existed, parts.files->remove(key));
    if (existed) spdlog::info("deleted the unpublished file {}", key);
    return parts.jobs->forget_file(key);
}

}  // namespace

void run_export(const ExportParts& parts, const ClaimedJob& job,
                const std::atomic<bool>& stopping) {
    spdlog::info("job {}: attempt {} with epoch {}", job.lease.job_id, job.attempt,
                 job.lease.epoch);
    std::optional<model::FileKey> written_key;
    const auto done = produce(parts, job, stopping, written_key);
    if (done) return;
    spdlog::log(
        done.error().code == ErrorCode::kCancelled ? spdlog::level::info : spdlog::level::warn,
        "job {}: {}", job.lease.job_id, done.error().message);
    // The file first: once the registry has forgotten it, nobody would look for it again.
    if (written_key) {
        if (auto dropped = drop_file(parts, *written_key); !dropped) {
            spdlog::warn("job {}: left to the sweep: {}", job.lease.job_id,
                         dropped.error().message);
        }
    }
    if (auto recorded = record_end(parts, job, done.error(), stopping.load()); !recorded) {
        spdlog::error("job {}: {}", job.lease.job_id, recorded.error().message);
    }
}

Result<void> recover(const ExportParts& parts) {
    EW_TRY(const std::size_t rescued, parts.jobs->rescue());
    if (rescued > 0) spdlog::warn("{} jobs of a process that died are pending again", rescued);
    if (parts.files->is_remote()) return {};
    if (auto dropped = drop_unpublished(parts); !dropped)
        spdlog::warn("files nobody published are left to the sweep: {}", dropped.error().message);
    return {};
}

Result<std::size_t> drop_unpublished(const ExportParts& parts) {
    EW_TRY(const auto unpublished, parts.jobs->unpublished_files());
    for (const jobs::UnpublishedFile& file : unpublished) EW_CHECK(drop_file(parts, file.key));
    return unpublished.size();
}

Result<Swept> sweep(const ExportParts& parts, std::chrono::seconds grace) {
    Swept out;
    EW_TRY(out.unpublished, drop_unpublished(parts));
    const std::int64_t old_unix_s = parts.clock->unix_us() / 1'000'000 - grace.count();
    EW_CHECK(parts.files->list([&](const files::ListedFile& file) -> Result<void> {
        const std::string job_id = job_id_of(file.key);
        bool orphan = !job_id.empty() && file.modified_unix_s < old_unix_s;
        if (orphan) {
            EW_TRY(orphan, parts.jobs->is_orphan(file.key, job_id));
        }
        if (!orphan) {
            ++out.kept;
            return {};
        }
        EW_CHECK(parts.files->remove(file.key));
        spdlog::warn("deleted {}: no job points to it", file.key);
        ++out.orphans;
        return {};
    }));
    return out;
}

}  // namespace export_worker::exports
