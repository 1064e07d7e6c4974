// Places where a test may stop, kill or delay the process, to see what that leaves behind, or lose
// the answer of what was done.
//
// The programs that are shipped do nothing there. The tests link a daemon of their own that obeys
// EXPORT_WORKER_FAULTS (tests/support/fault_points.cpp). Not for paths that serve requests.
#pragma once

namespace export_worker {

// `name` says what has just happened or is about to: "file.before_rename". [any-thread]
void fault_point(const char* name);

// Is the answer of what was just done lost? Only in tests. [any-thread]
[[nodiscard]] bool fault_loses_answer(const char* name);

}  // namespace export_worker
