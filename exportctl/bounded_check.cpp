#include "exportctl/bounded_check.hpp"

#include <exception>
#include <utility>

#include "base/bounded_thread.hpp"

namespace export_worker::exportctl {

bool ends_within(std::function<void()> work, std::chrono::milliseconds timeout) {
    BoundedThread thread(std::move(work));
    if (thread.join_within(timeout)) return true;
    thread.leave_behind();
    return false;
}

CheckEnd run_bounded(const Check& check, std::shared_ptr<const Patient> patient,
                     std::chrono::milliseconds timeout) {
    auto found = std::make_shared<CheckResults>();
    const auto work = [check, found, patient = std::move(patient)] {
        try {
            *found = check.run(*patient);
        } catch (const std::exception& error) {
            *found = {{check.name, "", Health::kBad, error.what(), {}}};
        }
    };
    if (ends_within(work, timeout)) return {std::move(*found), false};
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
    return {
        {{check.name, "", Health::kBad, "no end within " + std::to_string(seconds.count()) + " s",
          "look for a disk, a name server or a program that hangs"}},
        true};
}

}  // namespace export_worker::exportctl
