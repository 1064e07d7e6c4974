#include "daemon/control/long_task.hpp"

#include <utility>

#include "base/json.hpp"
#include "base/thread_role.hpp"

namespace export_worker::control {

using nlohmann::json;

LongTask::LongTask() : state_(std::make_unique<json>()) {}

LongTask::~LongTask() {
    stopping_.store(true);
    if (thread_.joinable()) thread_.join();
}

Result<void> LongTask::start(const std::string& name, Work work) {
    {
        const std::lock_guard lock(mutex_);
        if (state_->is_object() && (*state_)["running"] == true)
            return fail(ErrorCode::kConflict, (*state_)["name"].get<std::string>() +
                                                  " still runs; wait until it has ended");
        *state_ = {{"name", name}, {"running", true}, {"progress", json::object()}};
    }
    if (thread_.joinable()) thread_.join();
    thread_ = std::thread([this, work = std::move(work)] {
        set_thread_role(ThreadRole::kControl);
        auto result = work(stopping_, [this](json progress) {
            const std::lock_guard lock(mutex_);
            (*state_)["progress"] = std::move(progress);
        });
        const std::lock_guard lock(mutex_);
        (*state_)["running"] = false;
        outcomes_.emplace_back(result ? "ok" : to_string(result.error().code));
        if (result) {
            (*state_)["result"] = std::move(*result);
        } else {
            (*state_)["error"] = {{"code", to_string(result.error().code)},
                                  {"message", result.error().message}};
        }
    });
    return {};
}

std::vector<std::string> LongTask::take_outcomes() {
    const std::lock_guard lock(mutex_);
    return std::exchange(outcomes_, {});
}

json LongTask::state() const {
    const std::lock_guard lock(mutex_);
    return *state_;
}

}  // namespace export_worker::control
