// Generations that no longer answer: they drain, then their instances end; their images stay, or
// are unmapped with a clean certificate.
#pragma once

#include <cstdint>
#include <string>

#include "daemon/plugins/lifecycle/loader.hpp"
#include "daemon/plugins/lifecycle/mailbox.hpp"
#include "daemon/plugins/lifecycle/marked_calls.hpp"
#include "daemon/plugins/lifecycle/policy.hpp"
#include "daemon/plugins/lifecycle/roster.hpp"
#include "daemon/plugins/staging/artifact_store.hpp"

namespace export_worker::plugins {

class Retirement {
public:
    // All outlive it. What has ended on `loader` signals `wake`.
    Retirement(Roster& roster, Loader& loader, MarkedCalls& calls, ArtifactStore& artifacts,
               const Clock& clock, const WakeEvent& wake)
        : roster_(roster),
          loader_(loader),
          calls_(calls),
          artifacts_(artifacts),
          clock_(clock),
          ended_(wake) {}

    // What one turn can do for each: those without a request are ended on the loader, those that
    // are still held after Policy::drain are given up. [supervisor-thread]
    void advance(const Policy& policy);
    // Takes over what the loader has ended. [supervisor-thread]
    void take_ended();
    // Ends all there is, on this thread. Both threads have ended. [one-owner]
    void end_all(History& history, const Policy& policy);
    // Ends one that was loaded and never served; code that hangs stays. [one-owner]
    void end_now(Loaded& loaded, const Policy& policy);

private:
    struct Ended {
        std::string plugin;
        std::uint64_t generation = 0;
        bool ended = false;
        bool unmap = false;
        bool gone = false;
    };

    void post_end(const std::string& plugin, const RetiredGeneration& retired,
                  const Policy& policy);
    void give_up(const std::string& plugin, const RetiredGeneration& retired);
    void set_state(const std::string& plugin, std::uint64_t generation, RetiredState state);

    Roster& roster_;
    Loader& loader_;
    MarkedCalls& calls_;
    ArtifactStore& artifacts_;
    const Clock& clock_;
    Mailbox<Ended> ended_;
};

}  // namespace export_worker::plugins
