// What is wrong between this daemon and the database it shares, for an operator.
#pragma once

#include <string>

#include "base/problem.hpp"

namespace export_worker::cluster {

struct ClusterProblem : Problem {
    // One word for what it is about, the same as long as it lasts: clock, lease, standby,
    // transaction.
    std::string subject;
};

}  // namespace export_worker::cluster
