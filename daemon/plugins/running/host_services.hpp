// What plugins may ask of the daemon: the tables of protocol/plugin_abi/extensions.h.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "daemon/auth/authenticator.hpp"
#include "daemon/credentials/credential_store.hpp"
#include "daemon/jobs/event_recorder.hpp"
#include "daemon/jobs/job_reader.hpp"
#include "daemon/jobs/organizations.hpp"
#include "daemon/plugins/running/limits.hpp"
#include "protocol/plugin_abi/extensions.h"

namespace export_worker::plugins {

// The parts of the daemon behind the services. All outlive every plugin. In a probe there is no
// authenticator and no job registry: callers and jobs come with the golden requests.
struct HostDeps {
    const Clock* clock = nullptr;  // Never null where requests are handled.
    const auth::Authenticator* authenticator = nullptr;
    jobs::JobReader* jobs = nullptr;
    jobs::Organizations* organizations = nullptr;
    jobs::EventRecorder* events = nullptr;
    // Shared with every generation that was created with them: a reload brings new ones, and the
    // requests inside the old generation keep theirs.
    std::shared_ptr<const credentials::CredentialStore> credentials;
};

struct CounterValue {
    std::string name;
    std::string help;
    std::uint64_t value = 0;
};

// One per generation: log lines and counters carry its plugin's name. The address is handed to the
// plugin, so the object never moves. [any-thread] after construction.
class HostServices : public ew_host {
public:
    HostServices(std::string plugin_name, const HostDeps& deps);
    ~HostServices();
    HostServices(const HostServices&) = delete;
    HostServices& operator=(const HostServices&) = delete;

    // The plugin has ended: from now on its calls are misuse. May be called again.
    void end() const;

    [[nodiscard]] std::vector<CounterValue> counters() const;

    // --- for the C functions in the .cpp ---
    const std::string plugin_name;
    const HostDeps deps;
    struct Counter {
        std::string name;
        std::string help;
        std::atomic<std::uint64_t> value{0};
    };
    std::array<Counter, limits::kPluginCountersMax> counter_slots;
    std::atomic<std::int32_t> counter_count{0};
    // What credentials/1 last gave without a call: in create() and self_test(). [loader-thread]
    mutable std::shared_ptr<const credentials::CredentialSet> loader_credentials;
};

}  // namespace export_worker::plugins
