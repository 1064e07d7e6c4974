// export, job, link.
#include <algorithm>
#include <thread>

#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/control_client.hpp"
#include "exportctl/interrupt.hpp"
#include "exportctl/output.hpp"
#include "exportctl/progress.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
using options::Arguments;

bool is_final(const std::string& status) {
    return status != "pending" && status != "in_progress";
}
bool has_file(const std::string& status) {
    return status == "completed" || status == "completed_with_warnings" ||
           status == "partial_success";
}

void show_job(const json& job) {
    std::vector<std::pair<std::string, std::string>> fields;
    for (const char* name : {"job_id", "job_type", "status", "waiting_because", "stage",
                             "created_at", "start_at", "started_at", "deadline_at", "completed_at",
                             "silence_limit_s", "error_message", "trace_id"}) {
        // A daemon of an earlier version has fewer.
        if (const json value = job.value(name, json()); !value.is_null())
            fields.emplace_back(name, cell(value));
    }
    fields.emplace_back("items", cell(job["processed_items"]) + " of " + cell(job["total_items"]) +
                                     ", " + cell(job["failed_items"]) + " failed, " +
                                     cell(job["warned_items"]) + " warned");
    for (const auto& item : job["metadata"].items())
        fields.emplace_back(item.key(), cell(item.value()));
    print_fields(fields);
    for (const char* kind : {"errors", "warnings"}) {
        for (const json& entry : job[kind]) {
            print_line(cell(entry["error_type"]) + " " + cell(entry["entity_key"]) + ": " +
                       cell(entry["message"]));
        }
    }
}

int call_about_job(const Context& context, const Arguments& arguments, const char* method,
                   void (*show)(const json&)) {
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    const auto answer =
        client->call(method, {{"job_id", arguments.words[0]}}, arguments.get("organization"));
    if (!answer) return complain(answer.error());
    return show_answer(context, *answer, show);
}

std::string progress_label(const json& job) {
    return cell(job["processed_items"]) + "/" + cell(job["total_items"]) + "  " +
           cell(job["status"]);
}

// Polls until the job has ended; Ctrl-C ends the waiting only. A daemon that restarts meanwhile is
// waited for: the job survives it.
int wait_for_job(const Context& context, ControlClient& client, const std::string& job_id) {
    json job;
    {
        const InterruptGuard guard;
        ProgressBar bar(context.json);
        int failures = 0;
        while (!interrupted()) {
            auto answer =
                client.call("jobs.get", {{"job_id", job_id}}, {}, std::chrono::seconds(5));
            if (!answer && ++failures > 60) return complain(answer.error());
            if (answer) {
                failures = 0;
                job = std::move(*answer);
                bar.update(job["processed_items"].get<std::int64_t>(),
                           job["total_items"].get<std::int64_t>(), progress_label(job));
                if (is_final(cell(job["status"]))) break;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(answer ? 100 : 500));
        }
    }
    if (job.is_null() || !is_final(cell(job["status"])))
        return complain(kExitInterrupted,
                        "stopped waiting; job " + job_id + " goes on: exportctl job show " +
                            job_id + " shows it, exportctl job cancel " + job_id + " stops it");
    show_answer(context, job, show_job);
    return has_file(cell(job["status"])) ? kExitOk : kExitRefused;
}

// The field a flag sets: "start_at" for "start-at".
std::string field_of(std::string flag) {
    std::ranges::replace(flag, '-', '_');
    return flag;
}

}  // namespace

int run_export_submit(const Context& context, const Arguments& arguments) {
    json params = json::object();
    for (const char* name :
         {"format", "profile", "compression", "variants", "formulas", "template", "filename"}) {
        if (arguments.has(name)) params[name] = arguments.get(name);
    }
    for (const char* name : {"priority", "start-at", "idempotency-key"}) {
        if (arguments.has(name)) params[field_of(name)] = arguments.get(name);
    }
    for (const char* name : {"deadline-s", "max-attempts"})
        put_number(arguments, name, field_of(name), params);
    if (arguments.has("keys")) params["product_keys"] = split_commas(arguments.get("keys"));
    if (arguments.has("columns")) params["columns"] = split_commas(arguments.get("columns"));
    if (arguments.has("filter")) {
        params["filter"] = parse_json(arguments.get("filter"));
        if (!params["filter"].is_object())
            return complain(kExitUsage,
                            "--filter: expected a JSON object such as "
                            "'{\"product_type\": \"shirt\", \"labels\": [\"new\"]}', found " +
                                kind_of(params["filter"]));
    }
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    const auto accepted = client->call("exports.submit", params, arguments.get("organization"));
    if (!accepted) return complain(accepted.error());
    if (arguments.has("wait")) return wait_for_job(context, *client, cell((*accepted)["job_id"]));
    return show_answer(context, *accepted, [](const json& answer) {
        print_line(cell(answer["job_id"]));
        print_note(cell(answer["message"]));
    });
}

int run_job_show(const Context& context, const Arguments& arguments) {
    return call_about_job(context, arguments, "jobs.get", show_job);
}

int run_job_cancel(const Context& context, const Arguments& arguments) {
    return call_about_job(context, arguments, "jobs.cancel", [](const json& job) {
        const bool running = !is_final(cell(job["status"]));
        print_line("job " + cell(job["job_id"]) + ": " +
                   (running ? "stops at its next sign of life" : "cancelled"));
    });
}

int run_job_retry(const Context& context, const Arguments& arguments) {
    return call_about_job(context, arguments, "jobs.retry", [](const json& job) {
        print_line("job " + cell(job["job_id"]) + ": pending again");
    });
}

int run_job_hold(const Context& context, const Arguments& arguments) {
    return call_about_job(context, arguments, "jobs.hold", [](const json& job) {
        print_line("job " + cell(job["job_id"]) + ": held until it is released");
    });
}

int run_job_release(const Context& context, const Arguments& arguments) {
    return call_about_job(context, arguments, "jobs.release", [](const json& job) {
        print_line("job " + cell(job["job_id"]) + ": may start");
    });
}

namespace {

// All pages of a list, as one answer; `name` is the parameter that says where a page begins.
tl::expected<json, message::WireError> call_for_all(ControlClient& client, const char* method,
                                                    json params, const char* name,
                                                    const std::string& organization = {}) {
    json all;
    for (;;) {
        auto page = client.call(method, params, organization);
        if (!page) return page;
        const json next = page->value("next", json());
        if (all.is_null()) {
            all = std::move(*page);
        } else {
            for (json& item : (*page)["items"]) all["items"].push_back(std::move(item));
        }
        if (next.is_null()) break;
        params[name] = next;
    }
    all["next"] = nullptr;
    return all;
}

std::string quota(const json& maximum, const char* without) {
    return maximum.is_null() ? without : "at most " + cell(maximum);
}

void show_organization(const json& each) {
    print_fields({{"organization", cell(each["organization"])},
                  {"running", cell(each["running"]) + ", " +
                                  quota(each["running_max"], "at most the default number")},
                  {"waiting", cell(each["pending"])},
                  {"weight", cell(each["weight"])},
                  {"held", each["held"] == true ? "yes: nothing is started" : "no"},
                  {"unfinished jobs",
                   cell(each["unfinished"]) + ", " + quota(each["unfinished_max"], "no quota")},
                  {"stored bytes",
                   cell(each["stored_bytes"]) + ", " + quota(each["stored_bytes_max"], "no quota")},
                  {"requests a second", quota(each["requests_per_second_max"], "no quota")}});
}

}  // namespace

int run_job_events(const Context& context, const Arguments& arguments) {
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    const auto answer = call_for_all(*client, "jobs.events", {{"job_id", arguments.words[0]}},
                                     "after", arguments.get("organization"));
    if (!answer) return complain(answer.error());
    return show_answer(context, *answer, [](const json& page) {
        std::vector<std::vector<std::string>> rows;
        for (const json& event : page["items"]) {
            rows.push_back({cell(event["at"]), cell(event["kind"]), cell(event["count"]),
                            cell(event["actor"]), cell(event["detail"])});
        }
        print_table({"AT", "EVENT", "TIMES", "BY", "DETAIL"}, rows);
    });
}

int run_organization_list(const Context& context, const Arguments&) {
    return list_and_show(
        context, "control.organization_list", json::object(), [](const json& page) {
            std::vector<std::vector<std::string>> rows;
            for (const json& each : page["items"]) {
                rows.push_back(
                    {cell(each["organization"]), cell(each["running"]),
                     each["running_max"].is_null() ? "default" : cell(each["running_max"]),
                     cell(each["pending"]), cell(each["weight"]),
                     each["held"] == true ? "held" : ""});
            }
            print_table({"ORGANIZATION", "RUNNING", "AT MOST", "WAITING", "WEIGHT", ""}, rows);
        });
}

int run_organization_show(const Context& context, const Arguments& arguments) {
    return call_and_show(context, "control.organization_show",
                         {{"organization", arguments.words[0]}}, show_organization);
}

int run_organization_set(const Context& context, const Arguments& arguments) {
    json params = {{"organization", arguments.words[0]}};
    for (const char* name :
         {"running-max", "unfinished-max", "stored-bytes-max", "requests-per-second-max"}) {
        if (arguments.has(name)) params[field_of(name)] = nullptr;  // "none" or "default".
        put_number(arguments, name, field_of(name), params);
    }
    put_number(arguments, "weight", "weight", params);
    if (arguments.has("hold")) params["held"] = true;
    if (arguments.has("release")) params["held"] = false;
    if (params.size() == 1)
        return complain(kExitUsage,
                        "organization set: expected a limit, a quota, --hold or --release; see "
                        "exportctl organization set --help");
    return call_and_show(context, "control.organization_set", params, show_organization);
}

int run_job_list(const Context& context, const Arguments& arguments) {
    json params = json::object();
    if (arguments.has("status")) params["status"] = arguments.get("status");
    if (arguments.has("type")) params["job_type"] = arguments.get("type");
    if (arguments.has("after")) params["after"] = arguments.get("after");
    for (const char* name : {"limit", "offset"}) put_number(arguments, name, name, params);
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    const auto answer = client->call("jobs.list", params, arguments.get("organization"));
    if (!answer) return complain(answer.error());
    return show_answer(context, *answer, [](const json& page) {
        std::vector<std::vector<std::string>> rows;
        for (const json& job : page["items"]) {
            rows.push_back({cell(job["job_id"]), cell(job.value("organization_id", json())),
                            cell(job["job_type"]), cell(job["status"]),
                            cell(job["processed_items"]) + "/" + cell(job["total_items"]),
                            cell(job["created_at"])});
        }
        print_table({"JOB", "ORGANIZATION", "TYPE", "STATUS", "ITEMS", "CREATED"}, rows);
        print_line(std::to_string(page["items"].size()) + " of " + cell(page["total"]));
        if (const json next = page.value("next", json()); !next.is_null())
            print_line("more with " + std::string(next.is_string() ? "--after " : "--offset ") +
                       cell(next));
    });
}

namespace {

void explain_link(const json& link) {
    const json& explanation = link["explanation"];
    std::vector<std::pair<std::string, std::string>> fields;
    for (const char* name :
         {"store", "kind", "file_url", "key", "signed_at", "expires_at", "credentials_end"})
        fields.emplace_back(name, cell(explanation[name]));
    fields.emplace_back("filename", cell(link["filename"]));
    fields.emplace_back("good for", cell(link["expires_in_seconds"]) + " s");
    print_fields(fields);
    for (const char* name : {"canonical_request", "string_to_sign"}) {
        if (!cell(explanation[name]).empty())
            print_lines("\n" + std::string(name) + ":\n" + cell(explanation[name]));
    }
    print_line("");
    print_line(cell(link["download_url"]));
}

}  // namespace

int run_link(const Context& context, const Arguments& arguments) {
    if (arguments.has("explain"))
        return call_about_job(context, arguments, "download_url.explain", explain_link);
    return call_about_job(context, arguments, "download_url.get", [](const json& link) {
        print_line(cell(link["download_url"]));
        print_note(cell(link["filename"]) + ", good for " + cell(link["expires_in_seconds"]) +
                   " s");
    });
}

}  // namespace export_worker::exportctl
