// key, member, session.

#include <cstdio>

#include "base/json.hpp"
#include "base/text.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/control_client.hpp"
#include "exportctl/output.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
using options::Arguments;

std::string words(const json& texts) {
    std::string out;
    for (const json& text : texts) out += (out.empty() ? "" : " ") + cell(text);
    return out;
}

void show_keys(const json& answer) {
    std::vector<std::vector<std::string>> rows;
    for (const json& key : answer["items"]) {
        rows.push_back({cell(key["id"]), cell(key["organization"]), cell(key["name"]),
                        words(key["permissions"]), cell(key["created_at"]),
                        cell(key["revoked_at"])});
    }
    print_table({"ID", "ORGANIZATION", "NAME", "PERMISSIONS", "CREATED", "REVOKED"}, rows);
}

void show_members(const json& answer) {
    std::vector<std::vector<std::string>> rows;
    for (const json& member : answer["items"]) {
        rows.push_back({cell(member["organization"]), cell(member["subject"]),
                        words(member["roles"]), member["active"] == true ? "yes" : "NO"});
    }
    print_table({"ORGANIZATION", "SUBJECT", "ROLES", "ACTIVE"}, rows);
}

void show_sessions(const json& answer) {
    std::vector<std::vector<std::string>> rows;
    for (const json& session : answer["items"])
        rows.push_back({cell(session["id"]), cell(session["subject"]), cell(session["created_at"]),
                        cell(session["expires_at"])});
    print_table({"ID", "SUBJECT", "CREATED", "END"}, rows);
}

int set_active(const Context& context, const Arguments& arguments, bool active) {
    json params = {{"subject", arguments.words[0]},
                   {"organization", arguments.get("organization")},
                   {"active", active}};
    if (arguments.has("role")) params["roles"] = split_commas(arguments.get("role"));
    return call_and_show(context, "control.member_set", params, [](const json& member) {
        if (member["active"] == true) {
            std::printf("%s in %s: %s\n", cell(member["subject"]).c_str(),
                        cell(member["organization"]).c_str(), words(member["roles"]).c_str());
        } else {
            std::printf("%s has no access to %s from now on\n", cell(member["subject"]).c_str(),
                        cell(member["organization"]).c_str());
        }
    });
}

}  // namespace

int run_key_create(const Context& context, const Arguments& arguments) {
    const json params = {
        {"organization", arguments.get("organization")},
        {"name", arguments.get("name")},
        {"permissions", split_commas(arguments.get("permission", "product:read"))}};
    return call_and_show(context, "control.key_create", params, [](const json& key) {
        std::printf("%s\n", cell(key["key"]).c_str());
        std::fprintf(stderr, "key %s of organization %s: copy it now, it is not shown again\n",
                     cell(key["id"]).c_str(), cell(key["organization"]).c_str());
    });
}

int run_key_list(const Context& context, const Arguments& arguments) {
    return call_and_show(context, "control.key_list",
                         {{"organization", arguments.get("organization")}}, show_keys);
}

int run_key_revoke(const Context& context, const Arguments& arguments) {
    return call_and_show(
        context, "control.key_revoke", {{"id", arguments.words[0]}}, [](const json& key) {
            std::printf("key %s is refused from now on\n", cell(key["id"]).c_str());
        });
}

int run_member_set(const Context& context, const Arguments& arguments) {
    return set_active(context, arguments, true);
}

int run_member_deactivate(const Context& context, const Arguments& arguments) {
    return set_active(context, arguments, false);
}

int run_member_list(const Context& context, const Arguments& arguments) {
    return call_and_show(context, "control.member_list",
                         {{"organization", arguments.get("organization")}}, show_members);
}

int run_session_create(const Context& context, const Arguments& arguments) {
    const json params = {
        {"subject", arguments.words[0]},
        {"expires_in_seconds", parse_unsigned(arguments.get("expires-in", "3600")).value_or(0)}};
    return call_and_show(context, "control.session_create", params, [](const json& session) {
        std::printf("%s\n", cell(session["token"]).c_str());
        std::fprintf(stderr, "session %s of %s until %s: copy it now, it is not shown again\n",
                     cell(session["id"]).c_str(), cell(session["subject"]).c_str(),
                     cell(session["expires_at"]).c_str());
    });
}

int run_session_list(const Context& context, const Arguments&) {
    return call_and_show(context, "control.session_list", json::object(), show_sessions);
}

int run_session_revoke(const Context& context, const Arguments& arguments) {
    return call_and_show(
        context, "control.session_revoke", {{"id", arguments.words[0]}}, [](const json& session) {
            std::printf("session %s is refused from now on\n", cell(session["id"]).c_str());
        });
}

}  // namespace export_worker::exportctl
