// Commits that happen and whose answer is lost, in the unit tests' program.
#pragma once

namespace export_worker::testing {

// So many answers of the next commits of any database are lost, those before are not counted any
// more. [any-thread]
void lose_commit_answers(int count);

}  // namespace export_worker::testing
