// What a process that serves asks of the system before it begins.
#pragma once

namespace export_worker {

// A listener that runs out of descriptors cannot answer anybody: takes all the system allows. What
// does not work is logged.
void raise_descriptor_limit();
// Memory holds what signs links; a crash must not write it to disk. What does not work is logged.
void forbid_core_files();

}  // namespace export_worker
