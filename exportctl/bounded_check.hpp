// One check of `doctor` with an end, whatever hangs in it: a disk, a name server, a program.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "exportctl/doctor.hpp"

namespace export_worker::exportctl {

struct Check {
    const char* name;
    CheckResults (*run)(const Patient&);
};

// False: `work`, which owns what it uses, still runs and uses this process.
[[nodiscard]] bool ends_within(std::function<void()> work, std::chrono::milliseconds timeout);

struct CheckEnd {
    CheckResults results;      // One, bad, when it did not end or has thrown.
    bool left_behind = false;  // It still runs and uses this process.
};
[[nodiscard]] CheckEnd run_bounded(const Check& check, std::shared_ptr<const Patient> patient,
                                   std::chrono::milliseconds timeout);

}  // namespace export_worker::exportctl
