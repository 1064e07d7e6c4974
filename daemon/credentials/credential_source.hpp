// Where the credentials of one store come from: files, the environment, or a service.
//
// The names of variables, files and fields are those the providers' own tools use; docs/stores says
// which. Nothing here writes anything. Threads: [one-owner].
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/credentials/credentials.hpp"
#include "daemon/model/store_settings.hpp"

namespace export_worker::credentials {

class CredentialSource {
public:
    virtual ~CredentialSource() = default;
    // Reads or asks, for kCredentialTimeout at most. Errors name files, variables and services,
    // never what is in them: kInvalidArgument for content that cannot be credentials,
    // kFailedPrecondition for what is not set up, kUnavailable when a service does not answer well.
    [[nodiscard]] virtual Result<Credentials> fetch() = 0;
    // "instance", "profile": for operators.
    [[nodiscard]] virtual std::string name() const = 0;
    // Credentials change when one of these files does.
    [[nodiscard]] virtual std::vector<std::string> files() const { return {}; }
    // A service answers: what fails now may work in a moment.
    [[nodiscard]] virtual bool is_remote() const { return false; }
};

// For settings the configuration has accepted. `clock` and `stopping` outlive the source; once the
// latter is set, a fetch under way ends.
[[nodiscard]] std::unique_ptr<CredentialSource> make_source(const model::StoreSettings& store,
                                                            const Clock& clock,
                                                            const std::atomic<bool>* stopping);
// The s3 part of it: "environment", "profile", "web_identity", "container", "instance", "default".
[[nodiscard]] std::unique_ptr<CredentialSource> make_aws_source(const model::StoreSettings& store,
                                                                const Clock& clock,
                                                                const std::atomic<bool>* stopping);

// --- for the sources ---

// A secret in a file of its own, less the line end an editor leaves.
[[nodiscard]] Result<std::string> read_one_line_secret(const std::string& path);
// An environment variable; empty when it is not set.
[[nodiscard]] std::string environment(const char* name);
// A key of the store's credentials; empty when it is not there.
[[nodiscard]] std::string setting(const model::StoreSettings& store, const char* key);

}  // namespace export_worker::credentials
