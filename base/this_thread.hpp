// How the kernel sees the calling thread: its name, and who goes first when there are fewer
// processors than threads that want one.
#pragma once

#include <string>

namespace export_worker {

// As `top -H` and debuggers show it; cut after 15 bytes. [any-thread]
void name_this_thread(const std::string& name);

// This thread gives way to the process's other threads. Linux: a thread's own nice value
// (setpriority(2), "C library/kernel differences"). It cannot be taken back without a privilege.
// [any-thread]
void give_way_to_other_threads();

}  // namespace export_worker
