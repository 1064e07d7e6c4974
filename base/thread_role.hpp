// Which kind of thread is this? The tags in our headers, checkable: [loop-thread], [worker-thread].
//
// A thread names its role once, at its start; a function that may run only there asserts it.
#pragma once

#include "base/assert.hpp"

namespace export_worker {

enum class ThreadRole { kOther, kLoop, kWorker, kControl, kExport, kLoader, kSupervisor };

inline thread_local ThreadRole current_thread_role = ThreadRole::kOther;

inline void set_thread_role(ThreadRole role) {
    current_thread_role = role;
}

}  // namespace export_worker

#define EW_ASSERT_ROLE(role) \
    EW_ASSERT(::export_worker::current_thread_role == ::export_worker::ThreadRole::role)
