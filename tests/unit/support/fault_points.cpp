// Fault points of the unit tests' program: only answers of commits are lost.
#include "base/fault_point.hpp"

#include <atomic>
#include <string_view>

#include "tests/unit/support/lost_answers.hpp"

namespace export_worker {
namespace {

std::atomic<int> answers_to_lose{0};

}  // namespace

void testing::lose_commit_answers(int count) {
    answers_to_lose.store(count);
}

void fault_point(const char*) {}

bool fault_loses_answer(const char* name) {
    if (std::string_view(name) != "database.commit_answer") return false;
    int left = answers_to_lose.load();
    while (left > 0) {
        if (answers_to_lose.compare_exchange_weak(left, left - 1)) return true;
    }
    return false;
}

}  // namespace export_worker
