#include "daemon/control/identity_methods.hpp"

#include <array>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "daemon/control/refuse.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;
using server::MethodResult;

json time_json(const std::optional<std::int64_t>& unix_us) {
    return unix_us ? json(to_iso8601(*unix_us)) : json();
}

json key_json(const auth::ApiKey& key) {
    return {{"id", key.id},
            {"organization", key.organization_id},
            {"name", key.name},
            {"permissions", key.permissions},
            {"created_at", to_iso8601(key.created_us)},
            {"expires_at", time_json(key.expires_us)},
            {"last_used_at", time_json(key.last_used_us)},
            {"revoked_at", time_json(key.revoked_us)}};
}

json member_json(const auth::Member& member) {
    return {{"subject", member.subject},
            {"organization", member.organization_id},
            {"roles", member.roles},
            {"active", member.active}};
}

json session_json(const auth::OpaqueSession& session) {
    return {{"id", session.id},
            {"subject", session.subject},
            {"created_at", to_iso8601(session.created_us)},
            {"expires_at", to_iso8601(session.expires_us)}};
}

template <typename Row>
MethodResult listed(const Result<auth::Page<Row>>& page, json (*to_json)(const Row&)) {
    if (!page) return refuse(page.error());
    json items = json::array();
    for (const Row& row : page->rows) items.push_back(to_json(row));
    return json{{"items", std::move(items)},
                {"next", page->next.empty() ? json() : json(page->next)}};
}

MethodResult created(const Result<auth::KeyStore::Created>& made) {
    if (!made) return refuse(made.error());
    json out = key_json(made->key);
    out["key"] = made->text;
    return out;
}

Result<std::vector<std::string>> texts_of(const json& params, const char* name) {
    std::vector<std::string> out;
    const auto found = params.find(name);
    if (found == params.end()) return out;
    if (!found->is_array())
        return fail(ErrorCode::kInvalidArgument, std::string(name) + ": expected a list of texts");
    for (const json& each : *found) {
        if (!each.is_string())
            return fail(ErrorCode::kInvalidArgument, std::string(name) + ": expected texts");
        out.push_back(each.get<std::string>());
    }
    return out;
}

MethodResult key_create(const ControlParts& parts, const json& params) {
    const auto permissions = texts_of(params, "permissions");
    if (!permissions) return refuse(permissions.error());
    const auto length = seconds_of(params, "expires_in_seconds");
    if (!length) return refuse(length.error());
    return created(parts.keys.create(text_of(params, "organization"), text_of(params, "name"),
                                     *permissions, *length));
}

MethodResult key_rotate(const ControlParts& parts, const json& params) {
    const auto overlap = seconds_of(params, "overlap_seconds");
    if (!overlap) return refuse(overlap.error());
    const auto length = seconds_of(params, "expires_in_seconds");
    if (!length) return refuse(length.error());
    return created(parts.keys.rotate(text_of(params, "id"),
                                     overlap->value_or(std::chrono::seconds(0)), *length));
}

MethodResult key_list(const ControlParts& parts, const json& params) {
    const std::string after = text_of(params, "after");
    const auto rows_max = rows_max_of(params);
    if (!rows_max) return refuse(rows_max.error());
    return listed(parts.keys.list(text_of(params, "organization"), {after, *rows_max}), key_json);
}

MethodResult key_revoke(const ControlParts& parts, const json& params) {
    const auto revoked = parts.keys.revoke(text_of(params, "id"));
    if (!revoked) return refuse(revoked.error());
    return json{{"id", revoked->id}, {"organization", revoked->organization_id}, {"revoked", true}};
}

// Absent roles stay as they are; a member who was deactivated stays so until "active" says
// otherwise.
MethodResult member_set(const ControlParts& parts, const json& params) {
    const std::string subject = text_of(params, "subject");
    const std::string organization = text_of(params, "organization");
    const auto known = parts.members.find(subject, organization);
    auth::Member member = known.value_or(auth::Member{subject, organization, {}, true});
    // Whoever is only known from tokens can be shut out, but needs roles to be let in.
    if (!known && !params.contains("roles") && params.value("active", json(true)) != false)
        return bad("roles: expected them for a member who is not in the table yet");
    if (params.contains("roles")) {
        auto roles = texts_of(params, "roles");
        if (!roles) return refuse(roles.error());
        member.roles = std::move(*roles);
    }
    if (params.contains("active")) {
        if (!params["active"].is_boolean()) return bad("active: expected true or false");
        member.active = params["active"].get<bool>();
    }
    if (auto put = parts.members.put(member); !put) return refuse(put.error());
    return member_json(member);
}

MethodResult member_list(const ControlParts& parts, const json& params) {
    const std::string after = text_of(params, "after");
    const auto rows_max = rows_max_of(params);
    if (!rows_max) return refuse(rows_max.error());
    return listed(parts.members.list(text_of(params, "organization"), {after, *rows_max}),
                  member_json);
}

MethodResult session_create(const ControlParts& parts, const json& params) {
    const auto length = seconds_of(params, "expires_in_seconds");
    if (!length) return refuse(length.error());
    if (!*length) return bad("expires_in_seconds: expected a number of seconds");
    auto made = parts.members.create_session(text_of(params, "subject"), **length);
    if (!made) return refuse(made.error());
    json out = session_json(made->session);
    out["token"] = made->token;
    return out;
}

MethodResult session_list(const ControlParts& parts, const json& params) {
    const std::string after = text_of(params, "after");
    const auto rows_max = rows_max_of(params);
    if (!rows_max) return refuse(rows_max.error());
    return listed(parts.members.list_sessions({after, *rows_max}), session_json);
}

MethodResult session_revoke(const ControlParts& parts, const json& params) {
    const std::string id = text_of(params, "id");
    if (auto revoked = parts.members.revoke_session(id); !revoked) return refuse(revoked.error());
    return json{{"id", id}, {"revoked", true}};
}

struct Row {
    std::string_view name;
    ControlMethod run;
};
constexpr std::array<Row, 9> kMethods{{{"control.key_create", key_create},
                                       {"control.key_rotate", key_rotate},
                                       {"control.key_list", key_list},
                                       {"control.key_revoke", key_revoke},
                                       {"control.member_set", member_set},
                                       {"control.member_list", member_list},
                                       {"control.session_create", session_create},
                                       {"control.session_list", session_list},
                                       {"control.session_revoke", session_revoke}}};

}  // namespace

ControlMethod find_identity_method(std::string_view method) {
    for (const Row& row : kMethods) {
        if (row.name == method) return row.run;
    }
    return nullptr;
}

}  // namespace export_worker::control
