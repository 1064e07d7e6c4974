#include "daemon/notices/notifier.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/log.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"

#include <algorithm>

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
        out->receivers_.push_back(settings.organization_id);
    }
    return out;
}

Notifier::~Notifier() {
    threads_.stop();
}

void Notifier::start() {
    // A webhook that takes its time must not hold up subscribers.
    threads_.start([this] { publish(); });
    // One at least, which ends the deliveries that need no webhook.
    const std::size_t senders =
        std::clamp<std::size_t>(webhooks_.size(), 1, limits::kWebhookThreads);
    for (std::size_t sender = 0; sender < senders; ++sender) threads_.start([this] { deliver(); });
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

void Notifier::publish() {
    name_this_thread("notices");
    while (threads_.wait_for(limits::kNoticeInterval)) {
        if (auto done = publish_fresh(); !done && !threads_.stopping().load())
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

void Notifier::deliver() {
    name_this_thread("webhooks");
    http::HttpClient client(&threads_.stopping());
    while (const auto notice = next_due()) {
        const auto webhook = webhooks_.find(notice->organization_id);
        const auto done =
            webhook == webhooks_.end()
                ? outbox_.mark_delivery(notice->sequence, jobs::Outbox::Delivery::kDone, "", 0)
                : deliver(client, webhook->second, *notice);
        if (!done && !threads_.stopping().load()) log_warn("notices: {}", done.error().message);
        // The next one of this organization may be due.
        threads_.wake();
    }
}

std::optional<model::Notice> Notifier::next_due() {
    const std::lock_guard one(looking_);
    for (;;) {
        const std::uint64_t seen = threads_.wakes();
        if (threads_.stopping().load()) return std::nullopt;
        auto due = take_due();
        if (due && !due->empty()) return std::move(due->front());
        if (!due) log_warn("notices: {}", due.error().message);
        const bool goes_on = due ? threads_.wait_for(limits::kNoticeInterval, seen)
                                 : threads_.wait_for(limits::kNoticeInterval);
        if (!goes_on) return std::nullopt;
    }
}

Result<std::vector<model::Notice>> Notifier::take_due() {
    EW_TRY(const std::size_t skipped, outbox_.skip_deliveries(receivers_));
    if (skipped > 0) threads_.wake();  // There may be more.
    return outbox_.take_due_notices(1);
}

Result<void> Notifier::deliver(http::HttpClient& client, const Webhook& webhook,
                               const model::Notice& notice) {
    const json object = model::to_json(notice);
    const std::string trace_id = model::trace_id_of(object);
    const LogScope scope("", trace_id);
    const std::string body = dump_json(object);
    fault_point("notice.before_send");
    const WebhookAnswer answer = send_webhook(client, webhook.settings, webhook.secret,
                                              clock_.unix_us() / 1'000'000, notice.event_id, body);
    fault_point("notice.sent");
    using Delivery = jobs::Outbox::Delivery;
    // Cut off by us: that says nothing about the receiver.
    if (threads_.stopping().load())
        return outbox_.mark_delivery(notice.sequence, Delivery::kPutBack, "", 0);
    const bool taken = answer.outcome == WebhookOutcome::kTaken;
    count(notice.organization_id, taken, answer.text);
    const bool last = notice.attempts + 1 >= limits::kWebhookTriesMax;
    const Delivery delivery = taken ? Delivery::kDone
                              : answer.outcome == WebhookOutcome::kRefused || last
                                  ? Delivery::kGivenUp
                                  : Delivery::kRetry;
    log_text(
        taken ? LogLevel::kInfo : LogLevel::kWarn, "job {}: notice {} to the webhook of {}: {}{}",
        fmt::make_format_args(notice.job_id, notice.sequence, notice.organization_id, answer.text,
                              delivery == Delivery::kGivenUp ? "; given up" : ""));
    auto marked = outbox_.mark_delivery(notice.sequence, delivery, answer.text,
                                        retry_delay_us(notice.attempts));
    ++(taken ? stats_.taken : delivery == Delivery::kGivenUp ? stats_.given_up : stats_.retry);
    return marked;
}

}  // namespace export_worker::notices
