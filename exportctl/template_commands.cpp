// template put, list, show, drop.
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/control_client.hpp"
#include "exportctl/input.hpp"
#include "exportctl/limits.hpp"
#include "exportctl/output.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
using options::Arguments;

int call_for_organization(const Context& context, const Arguments& arguments, const char* method,
                          const json& params, void (*show)(const json&)) {
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    const auto answer = client->call(method, params, arguments.get("organization"));
    if (!answer) return complain(answer.error());
    return show_answer(context, *answer, show);
}

}  // namespace

int run_template_put(const Context& context, const Arguments& arguments) {
    const std::string& path = arguments.words[1];
    auto input = Input::open(path);
    if (!input) return input.error();
    const auto text = input->read_all(limits::kTemplateFileBytesMax);
    if (!text) return complain(kExitRefused, text.error().message);
    const json body = parse_json(*text);
    if (!body.is_object())
        return complain(kExitUsage, path +
                                        ": expected a JSON object such as {\"format\": "
                                        "\"xlsx\", \"columns\": [\"key\"]}, found " +
                                        kind_of(body));
    return call_for_organization(
        context, arguments, "templates.put", {{"name", arguments.words[0]}, {"template", body}},
        [](const json& entry) { print_line("template " + cell(entry["name"]) + " saved"); });
}

int run_template_list(const Context& context, const Arguments& arguments) {
    return call_for_organization(
        context, arguments, "templates.list", json::object(), [](const json& page) {
            std::vector<std::vector<std::string>> rows;
            for (const json& entry : page["items"])
                rows.push_back({cell(entry["name"]), cell(entry["updated_at"])});
            print_table({"NAME", "UPDATED"}, rows);
        });
}

int run_template_show(const Context& context, const Arguments& arguments) {
    return call_for_organization(context, arguments, "templates.get",
                                 {{"name", arguments.words[0]}},
                                 [](const json& entry) { print_json(entry["template"]); });
}

int run_template_drop(const Context& context, const Arguments& arguments) {
    return call_for_organization(
        context, arguments, "templates.drop", {{"name", arguments.words[0]}},
        [](const json& entry) { print_line("template " + cell(entry["name"]) + " dropped"); });
}

}  // namespace export_worker::exportctl
