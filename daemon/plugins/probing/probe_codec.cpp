#include "daemon/plugins/probing/probe_codec.hpp"

#include <algorithm>

#include "base/hex.hpp"
#include "base/json.hpp"

namespace export_worker::plugins {
namespace {

using nlohmann::json;

// Secrets are bytes, and JSON has only text.
std::string hex(std::string_view bytes) {
    return to_hex({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

json credentials_json(const ProbeRequest& request) {
    json out = json::object();
    if (!request.credentials) return out;
    const auto set = request.credentials->snapshot();
    for (const auto& [store, credentials] : set->by_store) {
        out[store] = {{"version", credentials.version},
                      {"key_id", credentials.key_id},
                      {"secret", hex(credentials.secret)},
                      {"session_token", credentials.session_token},
                      {"expires_unix_us", credentials.expires_unix_us}};
    }
    return out;
}

Result<credentials::CredentialSet::ByStore> credentials_of(const json& stores) {
    credentials::CredentialSet::ByStore out;
    for (const auto& [store, fields] : stores.items()) {
        EW_TRY(const std::string secret, from_hex(fields.at("secret").get<std::string>()));
        out[store] = {fields.at("version").get<std::uint64_t>(),
                      fields.at("key_id").get<std::string>(), secret,
                      fields.at("session_token").get<std::string>(),
                      fields.at("expires_unix_us").get<std::int64_t>()};
    }
    return out;
}

json refusal_json(const Refusal& refusal) {
    return {{"code", refusal.code},
            {"stage", refusal.stage},
            {"expected", refusal.expected},
            {"found", refusal.found},
            {"hint", refusal.hint}};
}

Verdict<ProbeReport> verdict_of(const json& end) {
    if (end.contains("refusal")) {
        const json& refusal = end["refusal"];
        return refuse({refusal.value("code", ""), refusal.value("stage", ""),
                       refusal.value("expected", ""), refusal.value("found", ""),
                       refusal.value("hint", "")});
    }
    ProbeReport report;
    for (const json& method : end.at("methods")) {
        report.methods.push_back({method.at("name").get<std::string>(),
                                  method.at("summary").get<std::string>(),
                                  method.at("idempotent").get<bool>()});
    }
    report.pinned_by = end.at("pinned_by").get<std::vector<std::string>>();
    report.golden_requests = end.at("golden_requests").get<std::uint64_t>();
    report.bytes_kept_per_request = end.at("bytes_kept_per_request").get<std::int64_t>();
    report.peak_memory_kib = end.at("peak_memory_kib").get<std::int64_t>();
    return report;
}

// A candidate's texts come from outside: what is no UTF-8 is replaced, never thrown about.
std::string line_of(const json& object) {
    return dump_json(object) + "\n";
}

}  // namespace

std::string encode_probe_request(const ProbeRequest& request) {
    return line_of({{"file", request.file},
                    {"sha256", request.sha256},
                    {"name", request.manifest.name},
                    {"version", request.manifest.version},
                    {"abi_major", request.manifest.abi_major},
                    {"abi_minor", request.manifest.abi_minor},
                    {"build_id", request.manifest.build_id},
                    {"config", request.config},
                    {"credentials", credentials_json(request)},
                    {"golden", request.golden},
                    {"create", request.create},
                    {"timeout_ms", request.timeout.count()}});
}

Result<ProbeRequest> decode_probe_request(std::string_view text) try {
    const json object = parse_json_or_throw(text);
    ProbeRequest out;
    out.file = object.at("file").get<std::string>();
    out.sha256 = object.at("sha256").get<std::string>();
    out.manifest.name = object.at("name").get<std::string>();
    out.manifest.version = object.at("version").get<std::string>();
    out.manifest.abi_major = object.at("abi_major").get<std::uint32_t>();
    out.manifest.abi_minor = object.at("abi_minor").get<std::uint32_t>();
    out.manifest.build_id = object.at("build_id").get<std::string>();
    out.config = object.at("config").get<std::map<std::string, std::string>>();
    EW_TRY(auto by_store, credentials_of(object.at("credentials")));
    out.credentials = std::make_shared<const credentials::CredentialStore>(std::move(by_store));
    out.golden = object.at("golden").get<std::string>();
    out.create = object.at("create").get<bool>();
    out.timeout = std::chrono::milliseconds(object.at("timeout_ms").get<std::int64_t>());
    return out;
} catch (const json::exception& error) {
    return fail(ErrorCode::kInvalidArgument, std::string("probe request: ") + error.what());
}

std::string encode_probe_step(std::string_view step) {
    return line_of({{"step", step}});
}

std::string encode_probe_end(const Verdict<ProbeReport>& verdict) {
    if (!verdict) return line_of({{"refusal", refusal_json(verdict.error())}});
    json methods = json::array();
    for (const PluginMethod& method : verdict->methods) {
        methods.push_back({{"name", method.name},
                           {"summary", method.summary},
                           {"idempotent", method.idempotent}});
    }
    return line_of({{"methods", std::move(methods)},
                    {"pinned_by", verdict->pinned_by},
                    {"golden_requests", verdict->golden_requests},
                    {"bytes_kept_per_request", verdict->bytes_kept_per_request},
                    {"peak_memory_kib", verdict->peak_memory_kib}});
}

ProbeEnd decode_probe_lines(std::string_view text) {
    ProbeEnd out;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const json line = parse_json(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (!line.is_object()) continue;
        if (line.contains("step")) {
            out.last_step = line.value("step", "");
            continue;
        }
        try {
            out.verdict = verdict_of(line);
            out.ended = true;
        } catch (const json::exception&) {
            continue;  // Cut short: as good as no end.
        }
    }
    return out;
}

}  // namespace export_worker::plugins
