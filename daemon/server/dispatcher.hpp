// From one decoded request to the bytes of its reply: who is asked, who answers.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "daemon/auth/authenticator.hpp"
#include "daemon/jobs/organizations.hpp"
#include "daemon/plugins/routing/routing.hpp"
#include "daemon/plugins/running/generation.hpp"
#include "daemon/plugins/running/plugin_call.hpp"
#include "daemon/server/job_methods.hpp"
#include "protocol/message/request.hpp"
#include "protocol/message/wire_error.hpp"

namespace export_worker::server {

// What one thread reuses from request to request, and its place in the routing table.
class WorkerScratch {
public:
    // `holder` is how operators see the thread: "worker 2". `routing` outlives it.
    WorkerScratch(plugins::RoutingTable& routing, const std::string& holder)
        : slot(routing.take_slot(holder)), routing_(routing) {}
    WorkerScratch(const WorkerScratch&) = delete;
    WorkerScratch& operator=(const WorkerScratch&) = delete;
    ~WorkerScratch() { routing_.give_back(slot); }

    plugins::PinSlot& slot;
    plugins::PluginCall call;
    // Where the number of the generation is written that a request goes into; null: nowhere.
    std::atomic<std::uint64_t>* entered = nullptr;

private:
    plugins::RoutingTable& routing_;
};

// What answers a method.
struct Provider {
    std::string plugin;  // Empty: no plugin.
    std::uint64_t generation = 0;
};

// The parts of the daemon a request can reach. All outlive the dispatcher.
struct DispatcherDeps {
    const auth::Authenticator& authenticator;
    plugins::RoutingTable& routing;
    JobMethodDeps jobs;
    jobs::Organizations& organizations;  // Admits requests.
    // Notes a download through a link: the link's signature is the proof. False: it has none.
    std::function<bool(std::string_view target)> record_download;
    // The methods that plugins answer now, each with its plugin's name.
    std::function<std::map<std::string, std::string>()> plugin_methods;
    // PluginHost::left_out(). May be empty.
    std::function<std::optional<std::string>(std::string_view method)> left_out;
    // The names of the alarms there are. Waits for nothing. May be empty.
    std::function<std::vector<std::string>()> alarm_names;
};

// [any-thread], each with its own scratch.
class Dispatcher {
public:
    explicit Dispatcher(const DispatcherDeps& deps) : deps_(deps) {}

    [[nodiscard]] WorkerScratch make_scratch(const std::string& holder) const {
        return WorkerScratch(deps_.routing, holder);
    }

    // Replaces `provider` with what answers `method` now.
    void find_provider(std::string_view method, plugins::PinSlot& slot, Provider& provider) const;

    // Can only the identity provider say who this is? Then the question is counted, and identify()
    // is to be called before the rest, where waiting for it holds up nothing else. Once a request,
    // which keeps what was computed for it: the rest does not compute it again.
    [[nodiscard]] bool must_identify(message::Request& request) const;
    void identify(const message::Request& request) const;
    // The organization that the request is for; empty: its credentials say none.
    [[nodiscard]] std::string organization_of(const message::Request& request) const;

    // Replaces `reply` with the whole message; true when it carries a result. `operator_principal`
    // is null on the data socket, where the request's credentials count; on the control socket it
    // says who is asking. `started` is now.
    [[nodiscard]] bool dispatch(const message::Request& request, SteadyTime started,
                                std::int64_t deadline_steady_ns,
                                const model::Principal* operator_principal, WorkerScratch& scratch,
                                std::string& reply) const;

    // The same for a method of the daemon's own, in two halves, so that one thread can have many
    // under way: what comes back waits until the method's write is durable, then does the rest. To
    // be called once, while `request` is there.
    using Finish = std::function<bool(std::string& reply)>;
    [[nodiscard]] Finish begin_own(const message::Request& request,
                                   const model::Principal* operator_principal) const;

private:
    [[nodiscard]] bool run_plugin(const plugins::Route& route, const message::Request& request,
                                  SteadyTime started, std::int64_t deadline_steady_ns,
                                  const model::Principal* operator_principal,
                                  WorkerScratch& scratch, std::string& reply) const;
    // Lets the generation before answer a copy, and this one a second. [worker-thread]
    void compare_answers(const plugins::Route& route, const message::Request& request,
                         std::int64_t deadline_steady_ns, WorkerScratch& scratch) const;
    [[nodiscard]] Unfinished begin_method(const message::Request& request,
                                          const model::Principal* operator_principal) const;
    // Why nothing answers the method.
    [[nodiscard]] message::WireError no_such_method(std::string_view method) const;
    // The methods that need no credentials.
    [[nodiscard]] MethodResult run_public(message::MethodId id,
                                          const message::Request& request) const;
    [[nodiscard]] MethodResult report_download(const message::Request& request) const;
    [[nodiscard]] MethodResult list_methods() const;

    const DispatcherDeps deps_;
};

}  // namespace export_worker::server
