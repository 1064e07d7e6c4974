// The process between the daemon and a probe, which ends everything that the candidate has started.
//
// A process that the candidate detaches (setsid, double fork) leaves its group and its parent; the
// kernel then gives it to the nearest subreaper. That is this process, and not the daemon, which
// would adopt strangers. The keeper ends as the probe has ended, after every process below it. A
// crash of the daemon hangs up the keeper's stdin: it ends the probe, too.
#pragma once

#include <functional>

namespace export_worker::plugins {

// Forks, runs `probe` in the child, which ends with its result, and keeps it. Does not return in
// the parent: it exits with the status of the child, or dies of the same signal. For a process with
// one thread, whose stdin is a socket.
[[noreturn]] void keep_probe(const std::function<int()>& probe);

}  // namespace export_worker::plugins
