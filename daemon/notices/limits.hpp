// Limits of daemon/notices. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

inline constexpr std::chrono::milliseconds kNoticeInterval{
    100};  // Between two looks at the outbox.
inline constexpr std::chrono::milliseconds kWebhookTimeout{10'000};
inline constexpr std::size_t kWebhookThreads = 8;  // So many webhooks are called at once.
inline constexpr std::size_t kWebhookAnswerBytesMax = 64 * 1024;
inline constexpr int kWebhookTriesMax = 15;  // Within 14 hours; then it is given up.
inline constexpr std::chrono::seconds kWebhookRetryBase{5};
inline constexpr std::chrono::seconds kWebhookRetryMax{4 * 3'600};
inline constexpr int kWebhookFailuresAlarm = 3;  // In a row: an alarm.
inline constexpr std::size_t kWebhookSecretBytesMin = 16;

}  // namespace export_worker::limits
