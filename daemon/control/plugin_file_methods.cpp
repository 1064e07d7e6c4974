#include "daemon/control/plugin_file_methods.hpp"

#include <unistd.h>

#include <array>

#include "base/base64.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "daemon/control/params.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;

Result<json> plugin_file_begin(const ControlDeps& deps, const json& params) {
    JsonFields fields(params);
    EW_TRY(const std::int64_t bytes, fields.integer("bytes", {0, INT64_MAX}));
    EW_TRY(const std::string sha256, fields.text("sha256", {64, 64}));
    EW_TRY(const std::string id, deps.sent_files.begin(bytes, sha256));
    return json{{"id", id}};
}

// Whose files are as good as root's.
Result<json> plugin_file_owner(const ControlDeps&, const json&) {
    return json{{"daemon_uid", ::geteuid()}};
}

Result<json> plugin_file_append(const ControlDeps& deps, const json& params) {
    JsonFields fields(params);
    EW_TRY(const std::string id, fields.text("id"));
    EW_TRY(const std::int64_t offset, fields.integer("offset", {0, INT64_MAX}));
    EW_TRY(const std::string base64, fields.text("base64"));
    const auto bytes = from_base64(base64);
    if (!bytes) return invalid_argument("base64: expected base64 with padding");
    EW_CHECK(deps.sent_files.append(id, offset, *bytes));
    return json{{"bytes", bytes->size()}};
}

constexpr std::array<ControlRow, 3> kMethods{{{"control.plugin_file_owner", plugin_file_owner},
                                              {"control.plugin_file_begin", plugin_file_begin},
                                              {"control.plugin_file_append", plugin_file_append}}};

}  // namespace

ControlMethod find_plugin_file_method(std::string_view method) {
    return find_in(kMethods, method);
}

Result<void> check_sender(std::int64_t uid) {
    if (uid == 0 || uid == static_cast<std::int64_t>(::geteuid())) return {};
    return fail(ErrorCode::kPermissionDenied,
                "expected root or the daemon's user (uid " + std::to_string(::geteuid()) +
                    ") as the sender of a plugin file, found uid " + std::to_string(uid) +
                    "; run exportctl with sudo");
}

}  // namespace export_worker::control
