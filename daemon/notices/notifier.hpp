// Empties the outbox: every notice goes to the PUB socket once, in order of its number, and to its
// organization's webhook until that takes it. A webhook gets one notice at a time; webhooks of
// different organizations are called by up to kWebhookThreads threads, so one that does not answer
// delays no other.
//
// With a registry that several daemons share, each daemon publishes every notice, and one of them
// calls the webhook.
//
// Subscribers get two frames: the organization's id, and one msgpack map, the notice with its
// `sequence`. A gap in the numbers is a message that was missed; jobs.notices has it.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/stoppable_threads.hpp"
#include "daemon/http_client/http_client.hpp"
#include "daemon/jobs/outbox.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/webhook_settings.hpp"
#include "protocol/transport/publisher_socket.hpp"

namespace export_worker::notices {

// What notices to the webhook are signed with. Errors: those of the file; kInvalidArgument for a
// secret that is too short.
[[nodiscard]] Result<std::string> read_webhook_secret(const model::WebhookSettings& settings);

// Deliveries to webhooks since the start. [any-thread]
struct DeliveryStats {
    std::atomic<std::uint64_t> taken{0};
    std::atomic<std::uint64_t> retry{0};     // To be sent again.
    std::atomic<std::uint64_t> given_up{0};  // Refused for good, or tried often enough.
};

// Jobs that ended, and files that went, since the start: counted as their notices are published.
// What a crash leaves unpublished is counted by the next start. With a registry that several
// daemons share, each counts those of all. [any-thread]
struct EndStats {
    std::array<std::atomic<std::uint64_t>, model::kJobStatuses> jobs{};  // By JobStatus.
    std::atomic<std::uint64_t> files_withdrawn{0};  // Expired, or found missing or damaged.
};

class Notifier {
public:
    // Reads every secret. `clock` and `outbox` outlive the notifier. Errors: those of the files;
    // kInvalidArgument for a secret that is too short.
    [[nodiscard]] static Result<std::unique_ptr<Notifier>> open(
        const Clock& clock, jobs::Outbox& outbox,
        const std::vector<model::WebhookSettings>& webhooks,
        std::optional<transport::PublisherSocket> publisher);
    // Ends requests in flight; what they were about is sent again, by the next start or by another
    // daemon.
    ~Notifier();
    Notifier(const Notifier&) = delete;
    Notifier& operator=(const Notifier&) = delete;

    // Starts the thread that publishes and those that call webhooks.
    void start();
    // The organizations whose webhooks have failed kWebhookFailuresAlarm times in a row, each with
    // the last answer, in words. [any-thread]
    [[nodiscard]] std::map<std::string, std::string> failing() const;
    [[nodiscard]] const DeliveryStats& stats() const { return stats_; }
    [[nodiscard]] const EndStats& ends() const { return ends_; }

private:
    struct Webhook {
        model::WebhookSettings settings;
        std::string secret;
    };
    struct Failures {
        int in_a_row = 0;
        std::string last;
    };
    Notifier(const Clock& clock, jobs::Outbox& outbox,
             std::optional<transport::PublisherSocket> publisher);

    void publish();
    [[nodiscard]] Result<void> publish_fresh();
    void deliver();
    // Waits for a notice of an organization with a webhook; nullopt: it is time to stop. One thread
    // at a time waits: the next one follows when this one has something to do.
    [[nodiscard]] std::optional<model::Notice> next_due();
    [[nodiscard]] Result<std::vector<model::Notice>> take_due();
    [[nodiscard]] Result<void> deliver(http::HttpClient& client, const Webhook& webhook,
                                       const model::Notice& notice);
    void count(const std::string& organization_id, bool taken, const std::string& answer);
    void count_end(const nlohmann::json& notice);

    const Clock& clock_;
    jobs::Outbox& outbox_;
    std::map<std::string, Webhook> webhooks_;  // By organization; fixed once open() returns.
    std::vector<std::string> receivers_;       // Their organizations. The same.
    std::optional<transport::PublisherSocket> publisher_;  // One thread's.
    DeliveryStats stats_;
    EndStats ends_;
    mutable std::mutex mutex_;
    std::map<std::string, Failures> failures_;  // By organization. Guarded by mutex_.
    std::mutex looking_;                        // Of the one that is in next_due().
    StoppableThreads threads_;                  // Last: they use what is above.
};

}  // namespace export_worker::notices
