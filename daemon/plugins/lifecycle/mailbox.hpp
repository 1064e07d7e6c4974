// What one thread hands to another, without waiting for it.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "base/wake_event.hpp"

namespace export_worker::plugins {

template <typename Message>
class Mailbox {
public:
    // `wake` outlives it.
    explicit Mailbox(const WakeEvent& wake) : wake_(wake) {}

    // Signals `wake`. [any-thread]
    void put(Message message) {
        {
            const std::lock_guard lock(mutex_);
            messages_.push_back(std::move(message));
        }
        wake_.signal();
    }
    // The oldest first. [any-thread]
    [[nodiscard]] std::vector<Message> take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(messages_, {});
    }

private:
    const WakeEvent& wake_;
    std::mutex mutex_;
    std::vector<Message> messages_;
};

}  // namespace export_worker::plugins
