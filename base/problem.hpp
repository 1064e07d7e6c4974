// What is wrong with a part of a program, for an operator.
#pragma once

#include <string>

namespace export_worker {

struct Problem {
    std::string cause;   // Empty: nothing is wrong.
    std::string remedy;  // What to do, and what ends it.
};

}  // namespace export_worker
