#include "daemon/control/identity_methods.hpp"

#include <array>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "daemon/control/params.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;

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
Result<json> listed(const Result<auth::Page<Row>>& page, json (*to_json)(const Row&)) {
    if (!page) return fail(page.error());
    json items = json::array();
    for (const Row& row : page->rows) items.push_back(to_json(row));
    return json{{"items", std::move(items)},
                {"next", page->next.empty() ? json() : json(page->next)}};
}

Result<json> created(const Result<auth::KeyStore::Created>& made) {
    if (!made) return fail(made.error());
    json out = key_json(made->key);
    out["key"] = made->text;
    return out;
}

JsonFields fields_of(const json& params) {
    return JsonFields(params, "", JsonFields::Null::kRefused);
}

Result<json> key_create(const ControlDeps& deps, const json& params) {
    EW_TRY(const auto permissions, fields_of(params).texts("permissions"));
    EW_TRY(const auto length, seconds_of(params, "expires_in_seconds"));
    return created(deps.keys.create(text_of(params, "organization"), text_of(params, "name"),
                                    permissions, length));
}

Result<json> key_rotate(const ControlDeps& deps, const json& params) {
    EW_TRY(const auto overlap, seconds_of(params, "overlap_seconds"));
    EW_TRY(const auto length, seconds_of(params, "expires_in_seconds"));
    return created(
        deps.keys.rotate(text_of(params, "id"), overlap.value_or(std::chrono::seconds(0)), length));
}

Result<json> key_list(const ControlDeps& deps, const json& params) {
    const std::string after = text_of(params, "after");
    EW_TRY(const auto rows_max, rows_max_of(params));
    return listed(deps.keys.list(text_of(params, "organization"), {after, rows_max}), key_json);
}

Result<json> key_revoke(const ControlDeps& deps, const json& params) {
    EW_TRY(const auto revoked, deps.keys.revoke(text_of(params, "id")));
    return json{{"id", revoked.id}, {"organization", revoked.organization_id}, {"revoked", true}};
}

// Absent roles stay as they are; a member who was deactivated stays so until "active" says
// otherwise.
Result<json> member_set(const ControlDeps& deps, const json& params) {
    const std::string subject = text_of(params, "subject");
    const std::string organization = text_of(params, "organization");
    const auto known = deps.members.find(subject, organization);
    auth::Member member = known.value_or(auth::Member{subject, organization, {}, true});
    // Whoever is only known from tokens can be shut out, but needs roles to be let in.
    JsonFields fields = fields_of(params);
    EW_TRY(member.active, fields.boolean_or("active", member.active));
    const bool has_roles = fields.find("roles") != nullptr;
    if (!known && !has_roles && member.active)
        return invalid_argument("roles: expected them for a member who is not in the table yet");
    if (has_roles) {
        EW_TRY(member.roles, fields.texts("roles"));
        if (deps.check_roles) EW_CHECK(deps.check_roles(member.roles));
    }
    EW_CHECK(deps.members.put(member));
    return member_json(member);
}

Result<json> member_list(const ControlDeps& deps, const json& params) {
    const std::string after = text_of(params, "after");
    EW_TRY(const auto rows_max, rows_max_of(params));
    return listed(deps.members.list(text_of(params, "organization"), {after, rows_max}),
                  member_json);
}

Result<json> session_create(const ControlDeps& deps, const json& params) {
    EW_TRY(const auto length, seconds_of(params, "expires_in_seconds"));
    if (!length) return invalid_argument("expires_in_seconds: expected a number of seconds");
    EW_TRY(auto made, deps.members.create_session(text_of(params, "subject"), *length));
    json out = session_json(made.session);
    out["token"] = made.token;
    return out;
}

Result<json> session_list(const ControlDeps& deps, const json& params) {
    const std::string after = text_of(params, "after");
    EW_TRY(const auto rows_max, rows_max_of(params));
    return listed(deps.members.list_sessions({after, rows_max}), session_json);
}

Result<json> session_revoke(const ControlDeps& deps, const json& params) {
    const std::string id = text_of(params, "id");
    EW_CHECK(deps.members.revoke_session(id));
    return json{{"id", id}, {"revoked", true}};
}

constexpr std::array<ControlRow, 9> kMethods{{{"control.key_create", key_create},
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
    return find_in(kMethods, method);
}

}  // namespace export_worker::control
