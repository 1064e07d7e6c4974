// key, member, session.

#include "base/json.hpp"
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
                        cell(key["last_used_at"]), cell(key["expires_at"]),
                        cell(key["revoked_at"])});
    }
    print_table(
        {"ID", "ORGANIZATION", "NAME", "PERMISSIONS", "CREATED", "LAST USED", "EXPIRES", "REVOKED"},
        rows);
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

void show_new_key(const json& key) {
    print_line(cell(key["key"]));
    const json& end = key["expires_at"];
    print_note("key " + cell(key["id"]) + " of organization " + cell(key["organization"]) +
               (end.is_null() ? "" : " until " + cell(end)) +
               ": copy it now, it is not shown again");
}

// Calls a method that makes a secret and shows it. A secret that could not be shown is of no use,
// but it counts: says how to revoke it. `kind`: "key" or "session".
int make_secret(const Context& context, const char* method, const json& params, const char* kind,
                void (*show)(const json&)) {
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    const auto made = client->call(method, params);
    if (!made) return complain(made.error());
    const int status = show_answer(context, *made, show);
    const auto shown = options::flush_output();
    if (shown) return status;
    const std::string id = cell((*made)["id"]);
    return complain(kExitOutput, shown.error().message + "; the " + kind + " " + id +
                                     " exists all the same: revoke it with exportctl " + kind +
                                     " revoke " + id);
}

int set_active(const Context& context, const Arguments& arguments, bool active) {
    json params = {{"subject", arguments.words[0]},
                   {"organization", arguments.get("organization")},
                   {"active", active}};
    if (arguments.has("role")) params["roles"] = split_commas(arguments.get("role"));
    return call_and_show(context, "control.member_set", params, [](const json& member) {
        if (member["active"] == true) {
            print_line(cell(member["subject"]) + " in " + cell(member["organization"]) + ": " +
                       words(member["roles"]));
        } else {
            print_line(cell(member["subject"]) + " has no access to " +
                       cell(member["organization"]) + " from now on");
        }
    });
}

}  // namespace

int run_key_create(const Context& context, const Arguments& arguments) {
    json params = {{"organization", arguments.get("organization")},
                   {"name", arguments.get("name")},
                   {"permissions", split_commas(arguments.get("permission", "product:read"))}};
    put_length(arguments, "expires-in", "expires_in_seconds", params);
    return make_secret(context, "control.key_create", params, "key", show_new_key);
}

int run_key_rotate(const Context& context, const Arguments& arguments) {
    json params = {{"id", arguments.words[0]}};
    put_length(arguments, "overlap", "overlap_seconds", params);
    put_length(arguments, "expires-in", "expires_in_seconds", params);
    return make_secret(context, "control.key_rotate", params, "key", show_new_key);
}

int run_key_list(const Context& context, const Arguments& arguments) {
    return list_and_show(context, "control.key_list",
                         {{"organization", arguments.get("organization")}}, show_keys);
}

int run_key_revoke(const Context& context, const Arguments& arguments) {
    return call_and_show(
        context, "control.key_revoke", {{"id", arguments.words[0]}},
        [](const json& key) { print_line("key " + cell(key["id"]) + " is refused from now on"); });
}

int run_member_set(const Context& context, const Arguments& arguments) {
    return set_active(context, arguments, true);
}

int run_member_deactivate(const Context& context, const Arguments& arguments) {
    return set_active(context, arguments, false);
}

int run_member_list(const Context& context, const Arguments& arguments) {
    return list_and_show(context, "control.member_list",
                         {{"organization", arguments.get("organization")}}, show_members);
}

int run_session_create(const Context& context, const Arguments& arguments) {
    json params = {{"subject", arguments.words[0]}, {"expires_in_seconds", 3600}};
    put_length(arguments, "expires-in", "expires_in_seconds", params);
    return make_secret(
        context, "control.session_create", params, "session", [](const json& session) {
            print_line(cell(session["token"]));
            print_note("session " + cell(session["id"]) + " of " + cell(session["subject"]) +
                       " until " + cell(session["expires_at"]) +
                       ": copy it now, it is not shown again");
        });
}

int run_session_list(const Context& context, const Arguments&) {
    return list_and_show(context, "control.session_list", json::object(), show_sessions);
}

int run_session_revoke(const Context& context, const Arguments& arguments) {
    return call_and_show(
        context, "control.session_revoke", {{"id", arguments.words[0]}}, [](const json& session) {
            print_line("session " + cell(session["id"]) + " is refused from now on");
        });
}

}  // namespace export_worker::exportctl
