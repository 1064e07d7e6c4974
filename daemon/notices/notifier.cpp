#include "daemon/notices/notifier.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/log.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <set>

#include "base/fault_point.hpp"
#include "base/io.hpp"
#include "base/this_thread.hpp"
#include "daemon/notices/limits.hpp"
#include "daemon/notices/webhook.hpp"

namespace export_worker::notices {
namespace {

using nlohmann::json;

std::int64_t retry_delay_us(int attempts) {
    const std::chrono::microseconds delay = std::min<std::chrono::seconds>(
        limits::kWebhookRetryBase * (1LL << std::min(attempts, 20)), limits::kWebhookRetryMax);
    return delay.count();
}

}  // namespace

Result<std::string> read_webhook_secret(const model::WebhookSettings& settings) {
    auto secret = read_secret_file(settings.secret_file, limits::kSecretFileBytesMax);
    if (secret) *secret = without_line_end(std::move(*secret));
    if (secret && secret->size() < limits::kWebhookSecretBytesMin)
        return fail(ErrorCode::kInvalidArgument,
                    settings.secret_file + ": expected a secret of at least " +
                        std::to_string(limits::kWebhookSecretBytesMin) + " bytes, found " +
                        std::to_string(secret->size()));
    return secret;
}

Notifier::Notifier(const Clock& clock, jobs::Outbox& outbox,
                   std::optional<transport::PublisherSocket> publisher)
    : clock_(clock), outbox_(outbox), publisher_(std::move(publisher)) {}

Result<std::unique_ptr<Notifier>> Notifier::open(
    const Clock& clock, jobs::Outbox& outbox, const std::vector<model::WebhookSettings>& webhooks,
    std::optional<transport::PublisherSocket> publisher) {
    std::unique_ptr<Notifier> out(new Notifier(clock, outbox, std::move(publisher)));
    for (const model::WebhookSettings& settings : webhooks) {
        EW_TRY(std::string secret, read_webhook_secret(settings));
        out->webhooks_[settings.organization_id] = {settings, std::move(secret)};
    }
    return out;
}

Notifier::~Notifier() {
    stopping_.store(true);
    { const std::lock_guard lock(mutex_); }
    stop_requested_.notify_all();
    for (std::thread& thread : threads_) thread.join();
}

void Notifier::start() {
    // A webhook that takes its time must not hold up subscribers.
    threads_.emplace_back([this] { run(&Notifier::publish_fresh); });
    threads_.emplace_back([this] { run(&Notifier::deliver_due); });
}

std::map<std::string, std::string> Notifier::failing() const {
    const std::lock_guard lock(mutex_);
    std::map<std::string, std::string> out;
    for (const auto& [organization_id, failures] : failures_) {
        if (failures.in_a_row >= limits::kWebhookFailuresAlarm)
            out.emplace(organization_id, failures.last);
    }
    return out;
}

void Notifier::count(const std::string& organization_id, bool taken, const std::string& answer) {
    const std::lock_guard lock(mutex_);
    if (taken) {
        failures_.erase(organization_id);
        return;
    }
    Failures& failures = failures_[organization_id];
    ++failures.in_a_row;
    failures.last = answer;
}

void Notifier::run(Result<void> (Notifier::*look)()) {
    name_this_thread("notices");
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            if (stop_requested_.wait_for(lock, limits::kNoticeInterval,
                                         [this] { return stopping_.load(); }))
                return;
        }
        if (auto done = (this->*look)(); !done && !stopping_.load())
            log_warn("notices: {}", done.error().message);
    }
}

Result<void> Notifier::publish_fresh() {
    EW_TRY(const auto fresh, outbox_.unpublished_notices());
    if (fresh.empty()) return {};
    std::vector<json> objects;
    objects.reserve(fresh.size());
    for (const model::Notice& notice : fresh) {
        objects.push_back(model::to_json(notice));
        if (publisher_) publisher_->publish(notice.organization_id, dump_msgpack(objects.back()));
    }
    EW_CHECK(outbox_.mark_published(fresh.back().sequence));
    for (const json& object : objects) count_end(object);
    return {};
}

void Notifier::count_end(const json& notice) {
    if (text_in(notice, "type") == "job.expired") {
        ++ends_.files_withdrawn;
        return;
    }
    const auto job = notice.find("job");
    if (job == notice.end() || !job->is_object()) return;
    if (const auto status = model::parse_job_status(text_in(*job, "status").value_or("")))
        ++ends_.jobs.at(static_cast<std::size_t>(*status));
}

Result<void> Notifier::deliver_due() {
    EW_TRY(const auto due, outbox_.due_notices());
    // One that does not answer must not hold up the others for each of its notices.
    std::set<std::string> silent;
    for (const model::Notice& notice : due) {
        if (stopping_.load()) return {};
        const auto webhook = webhooks_.find(notice.organization_id);
        if (webhook == webhooks_.end()) {
            EW_CHECK(outbox_.mark_delivery(notice.sequence, jobs::Outbox::Delivery::kDone, "", 0));
            continue;
        }
        if (silent.contains(notice.organization_id)) continue;
        bool taken = false;
        EW_CHECK(deliver(webhook->second, notice, taken));
        if (!taken) silent.insert(notice.organization_id);
    }
    return {};
}

Result<void> Notifier::deliver(const Webhook& webhook, const model::Notice& notice, bool& taken) {
    const json object = model::to_json(notice);
    const std::string trace_id = model::trace_id_of(object);
    const LogScope scope("", trace_id);
    const std::string body = dump_json(object);
    fault_point("notice.before_send");
    const WebhookAnswer answer = send_webhook(client_, webhook.settings, webhook.secret,
                                              clock_.unix_us() / 1'000'000, notice.event_id, body);
    fault_point("notice.sent");
    if (stopping_.load()) return {};  // Cut off by us: that says nothing about the receiver.
    taken = answer.outcome == WebhookOutcome::kTaken;
    count(notice.organization_id, taken, answer.text);
    using Delivery = jobs::Outbox::Delivery;
    const bool last = notice.attempts + 1 >= limits::kWebhookTriesMax;
    const Delivery delivery = taken ? Delivery::kDone
                              : answer.outcome == WebhookOutcome::kRefused || last
                                  ? Delivery::kGivenUp
                                  : Delivery::kRetry;
    ++(taken ? stats_.taken : delivery == Delivery::kGivenUp ? stats_.given_up : stats_.retry);
    log_text(
        taken ? LogLevel::kInfo : LogLevel::kWarn, "job {}: notice {} to the webhook of {}: {}{}",
        fmt::make_format_args(notice.job_id, notice.sequence, notice.organization_id, answer.text,
                              delivery == Delivery::kGivenUp ? "; given up" : ""));
    return outbox_.mark_delivery(notice.sequence, delivery, answer.text,
                                 retry_delay_us(notice.attempts));
}

}  // namespace export_worker::notices
