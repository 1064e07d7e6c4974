// Empties the outbox: every notice goes to the PUB socket once, in order of its number, and to its
// organization's webhook until that takes it.
//
// Subscribers get two frames: the organization's id, and one msgpack map, the notice with its
// `sequence`. A gap in the numbers is a message that was missed; jobs.notices has it.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "base/clock.hpp"
#include "base/result.hpp"
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
// What a crash leaves unpublished is counted by the next start. [any-thread]
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
    ~Notifier();  // Ends a request in flight; what it was about is sent again at the next start.
    Notifier(const Notifier&) = delete;
    Notifier& operator=(const Notifier&) = delete;

    // Starts the two threads.
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

    void run(Result<void> (Notifier::*look)());
    [[nodiscard]] Result<void> publish_fresh();
    [[nodiscard]] Result<void> deliver_due();
    [[nodiscard]] Result<void> deliver(const Webhook& webhook, const model::Notice& notice,
                                       bool& taken);
    void count(const std::string& organization_id, bool taken, const std::string& answer);
    void count_end(const nlohmann::json& notice);

    const Clock& clock_;
    jobs::Outbox& outbox_;
    std::map<std::string, Webhook> webhooks_;  // By organization; fixed once open() returns.
    std::optional<transport::PublisherSocket> publisher_;  // One thread's.
    std::atomic<bool> stopping_{false};
    DeliveryStats stats_;
    EndStats ends_;
    http::HttpClient client_{&stopping_};  // The other's.
    mutable std::mutex mutex_;
    std::condition_variable stop_requested_;
    std::map<std::string, Failures> failures_;  // By organization. Guarded by mutex_.
    std::vector<std::thread> threads_;
};

}  // namespace export_worker::notices
