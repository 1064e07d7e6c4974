// One request while a plugin handles it: what the host services need to know, and where the answer
// goes.
//
// Reused from request to request by one worker: buffers keep their capacity.
#pragma once

#include <memory>
#include <string>

#include "daemon/auth/authenticator.hpp"
#include "daemon/credentials/credential_store.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/principal.hpp"
#include "protocol/message/wire_error.hpp"
#include "protocol/plugin_abi/host.h"

namespace export_worker::plugins {

// The host's side of ew_writer: C callers see the base, the host sees the rest.
struct ResultWriter : ew_writer {
    ResultWriter();
    ResultWriter(const ResultWriter&) = delete;
    ResultWriter& operator=(const ResultWriter&) = delete;
    void reset();

    std::string result;
    message::WireError error;
    bool has_error = false;
    const char* misuse = nullptr;  // The first broken rule; makes the outcome a plugin fault.
};

struct PluginCall {
    // Who is calling: presented credentials, or a principal the control socket established.
    auth::Presented presented;
    const model::Principal* preset_principal = nullptr;

    // In a probe, the one job there is. It belongs to golden_job.organization_id.
    std::string golden_job_id;
    model::JobFile golden_job;

    model::Principal principal;
    bool identified = false;  // `principal` is filled in, and its quota was charged.
    bool authorized = false;  // The plugin has asked for it.
    bool is_copy = false;     // Only to compare answers: counts nowhere and leaves no event.
    model::JobFile job;
    // What credentials/1 last gave to this call; kept from request to request, so that asking again
    // costs one comparison while nothing has changed.
    std::shared_ptr<const credentials::CredentialSet> credentials;
    ResultWriter writer;

    // Before each request.
    void reset() {
        identified = false;
        is_copy = false;
        begin_attempt();
    }
    // Before each generation that handles the same request: the caller stays identified.
    void begin_attempt() {
        authorized = false;
        writer.reset();
    }
};

}  // namespace export_worker::plugins
