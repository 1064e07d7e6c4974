#include "exportctl/command.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/assert.hpp"
#include "exportctl/commands.hpp"

namespace export_worker::exportctl {
namespace {

constexpr std::array<ExitStatus, 8> kExitStatuses{
    {{kExitOk, "ok", "done"},
     {kExitRefused, "refused", "refused by the daemon, or the job or reload did not succeed"},
     {kExitUsage, "usage", "wrong command line"},
     {kExitBadData, "bad_data", "some input was bad; the rest was taken"},
     {kExitUnavailable, "unavailable", "no daemon answers"},
     {kExitOutput, "output_lost", "standard output could not be written"},
     {kExitConfig, "bad_configuration", "the configuration cannot be used"},
     {kExitInterrupted, "interrupted", "interrupted while waiting; the daemon goes on"}}};

constexpr std::array<std::string_view, 4> kGlobalFlags{"config", "json", "help", "version"};

constexpr std::array<Flag, 59> kFlags{{
    {"config", Kind::kFile, "FILE", "the configuration; EXPORT_WORKER_CONFIG names another default",
     kConfigDefault},
    {"json", Kind::kSwitch, "", "print answers and errors as JSON, for programs"},
    {"help", Kind::kSwitch, "", "print help (-h)"},
    {"version", Kind::kSwitch, "", "print the version"},
    {"organization", Kind::kText, "ID", "the organization to act for"},
    {"permission", Kind::kText, "P,Q",
     "permissions of the key: product:read (default), job:read, job:create, template:write, "
     "link:explain"},
    {"role", Kind::kText, "A,B", "roles of the member, as the roles file names them"},
    {"expires-in", Kind::kLength, "TIME",
     "when it ends: seconds, or 15m, 8h, 90d (a session: 1h by default)"},
    {"overlap", Kind::kLength, "TIME",
     "how long the old key still works: seconds, or 15m, 1h, 7d; 0 ends it at once"},
    {"name", Kind::kText, "TEXT", "name of the key in lists"},
    {"products", Kind::kNumber, "N", "number of products"},
    {"seed", Kind::kNumber, "S", "the same seed generates the same catalog", "1"},
    {"output", Kind::kFile, "FILE", "where to write it", "standard output"},
    {"format", Kind::kText, "F", "format of the file", "csv", "csv jsonl xlsx"},
    {"profile", Kind::kText, "P", "how csv is written", "rfc4180", "rfc4180 excel excel-eu tsv"},
    {"compression", Kind::kText, "C", "compression of the file", "none", "none gzip zstd"},
    {"variants", Kind::kText, "V", "how variants become rows; nested is for jsonl", "",
     "row_per_variant parent_child nested"},
    {"formulas", Kind::kText, "F", "text that a spreadsheet would run", "", "off guard reject"},
    {"filter", Kind::kText, "JSON", "only products this object describes (docs/exports.md)"},
    {"template", Kind::kText, "NAME",
     "the fields of this saved template, where no flag says otherwise"},
    {"keys", Kind::kText, "A,B", "export only these product keys"},
    {"columns", Kind::kText, "A,B", "export only these columns, in this order"},
    {"filename", Kind::kText, "NAME", "suggested download name"},
    {"priority", Kind::kText, "P", "rank among the organization's own jobs", "normal",
     "low normal high"},
    {"start-at", Kind::kText, "TIME", "not before this time, such as 2026-11-25T18:00:00Z"},
    {"deadline-s", Kind::kNumber, "S",
     "fail the job when it has not ended so many seconds after its start"},
    {"max-attempts", Kind::kNumber, "N", "how often to try before the job fails"},
    {"idempotency-key", Kind::kText, "KEY", "the same key and request again is the same job"},
    {"running-max", Kind::kNumber, "N",
     "its jobs that run at the same time; 'default': the configuration's", "", "default"},
    {"unfinished-max", Kind::kNumber, "N", "its jobs that have not ended; 'none': no quota", "",
     "none"},
    {"stored-bytes-max", Kind::kNumber, "N",
     "bytes of its exports in the store; at it no export is taken or started; 'none': no quota", "",
     "none"},
    {"requests-per-second-max", Kind::kNumber, "N",
     "requests with its keys and sessions; 'none': no quota", "", "none"},
    {"weight", Kind::kNumber, "N", "its share of the workers, against others' weights", "1"},
    {"hold", Kind::kSwitch, "", "start none of its jobs until --release"},
    {"release", Kind::kSwitch, "", "start its jobs again"},
    {"apply", Kind::kSwitch, "", "repair what was found"},
    {"max-withdrawn", Kind::kNumber, "N",
     "with --apply: how many files may be missing or damaged; with more nothing is changed",
     "10, or a tenth of all files"},
    {"no-hashes", Kind::kSwitch, "", "compare sizes only, read no file"},
    {"pause-max", Kind::kLength, "TIME",
     "how long writes may wait: 10s, 2m; a database that needs longer is left as it is", "10s"},
    {"force", Kind::kSwitch, "", "move what is there aside"},
    {"from", Kind::kDirectory, "DIR", "the state directory whose databases move"},
    {"undo", Kind::kSwitch, "", "go back, while PostgreSQL has taken no write since the move"},
    {"files", Kind::kSwitch, "",
     "then move exported files from a local store into that of the configuration"},
    {"wait", Kind::kSwitch, "", "wait for the end: of the export, or of the bake"},
    {"status", Kind::kText, "S", "only jobs with this status", "",
     "pending in_progress completed completed_with_warnings partial_success failed cancelled"},
    {"type", Kind::kText, "T", "only jobs of this type"},
    {"limit", Kind::kNumber, "N", "at most this many", "50"},
    {"after", Kind::kText, "ID",
     "only jobs older than this one: how the page before says to go on"},
    {"offset", Kind::kNumber, "N", "skip this many, at most 10000", "0"},
    {"explain", Kind::kSwitch, "", "also print what was signed"},
    {"file", Kind::kFile, "FILE", "the .so to load instead of the configured one"},
    {"dry-run", Kind::kSwitch, "", "do everything but publish it"},
    {"no-bake", Kind::kSwitch, "", "commit at once; no automatic rollback"},
    {"allow", Kind::kText, "M,N", "methods the new file may drop or make harder to retry"},
    {"lift-quarantine", Kind::kSwitch, "", "load a file although it is quarantined"},
    {"to", Kind::kText, "HASH", "a committed file, by the start of its SHA-256", "the one before"},
    {"offline", Kind::kSwitch, "", "while no daemon runs: work on its state directory"},
    {"state-dir", Kind::kDirectory, "DIR", "with --offline: the state directory",
     "the configuration's"},
    {"daemon", Kind::kFile, "FILE", "the export-workerd to ask", "the one beside exportctl"},
}};

constexpr std::array<Command, 55> kCommands{{
    {"status", "", "", "", "requests, jobs, plugins and alarms of the daemon",
     "status\n--json status", run_status},
    {"metrics", "", "", "", "metrics of the daemon in the Prometheus text format", "metrics",
     run_metrics},
    {"doctor", "", "", "",
     "check a running system: configuration, daemon, shim, stores, clock, disks, files, units; one "
     "line a check: ok, warn or bad, and what to do. Exit status 0: all ok, 1: warnings, 2: bad. "
     "Run "
     "it as root",
     "doctor\n--json doctor", run_doctor},
    {"key create", "", "organization! permission name expires-in", "",
     "make an API key; it is shown once",
     "key create --organization acme --permission product:read,job:read --expires-in 90d",
     run_key_create},
    {"key rotate", "ID", "overlap! expires-in", "",
     "make a key with the same rights; the old one ends after the overlap",
     "key rotate 1f0c3a5b7d9e2468 --overlap 1h", run_key_rotate},
    {"key list", "", "organization", "",
     "all keys, revoked and expired ones too, with last use and expiry",
     "key list --organization acme", run_key_list},
    {"key revoke", "ID", "", "", "refuse a key from now on", "key revoke 1f0c3a5b7d9e2468",
     run_key_revoke},
    {"member set", "SUBJECT", "organization! role", "",
     "give a member roles in an organization, instead of those of the token",
     "member set member-live-1 --organization acme --role Editor", run_member_set},
    {"member deactivate", "SUBJECT", "organization! role", "",
     "refuse a member from now on, with any token",
     "member deactivate member-live-1 --organization acme", run_member_deactivate},
    {"member list", "", "organization", "", "members with roles of their own here",
     "member list --organization acme", run_member_list},
    {"session create", "SUBJECT", "expires-in", "",
     "make an opaque session of a member; it is shown once",
     "session create member-live-1 --expires-in 8h", run_session_create},
    {"session list", "", "", "", "valid opaque sessions", "session list", run_session_list},
    {"session revoke", "ID", "", "", "refuse an opaque session from now on",
     "session revoke 1f0c3a5b7d9e2468", run_session_revoke},
    {"catalog import", "FILE", "organization!", "",
     "add or replace products, one JSON object a line ('-': stdin)",
     "catalog import products.jsonl --organization acme\n"
     "catalog import - --organization acme < products.jsonl",
     run_catalog_import},
    {"catalog generate", "", "products! seed output", "", "generate a realistic catalog",
     "catalog generate --products 1000 --output products.jsonl", run_catalog_generate},
    {"catalog import-prices", "FILE", "organization!", "",
     "add or replace prices, one JSON object a line ('-': stdin)",
     "catalog import-prices prices.jsonl --organization acme", run_price_import},
    {"export submit", "",
     "organization! format profile compression variants formulas keys filter columns template "
     "filename priority start-at deadline-s max-attempts idempotency-key wait",
     "keys|filter", "queue an export",
     "export submit --organization acme --format xlsx --wait\n"
     "export submit --organization acme --columns key,name --filter '{\"labels\": [\"new\"]}'",
     run_export_submit},
    {"template put", "NAME FILE", "organization!", "",
     "save the fields of an export under a name; FILE is a JSON object ('-': stdin)",
     "template put weekly weekly.json --organization acme", run_template_put},
    {"template list", "", "organization!", "", "the organization's templates",
     "template list --organization acme", run_template_list},
    {"template show", "NAME", "organization!", "", "one template as JSON",
     "template show weekly --organization acme", run_template_show},
    {"template drop", "NAME", "organization!", "", "delete a template",
     "template drop weekly --organization acme", run_template_drop},
    {"job show", "JOB", "organization", "", "one job in full",
     "job show 0198c0de-0000-7000-8000-000000000001", run_job_show},
    {"job list", "", "organization status type limit after offset", "", "jobs, newest first",
     "job list --organization acme --status failed\n--json job list --limit 200", run_job_list},
    {"job cancel", "JOB", "organization", "", "stop a job that has not finished",
     "job cancel 0198c0de-0000-7000-8000-000000000001", run_job_cancel},
    {"job retry", "JOB", "organization", "", "run a failed or cancelled export again",
     "job retry 0198c0de-0000-7000-8000-000000000001", run_job_retry},
    {"job hold", "JOB", "organization", "", "do not start a waiting export",
     "job hold 0198c0de-0000-7000-8000-000000000001", run_job_hold},
    {"job release", "JOB", "organization", "", "let a held export start",
     "job release 0198c0de-0000-7000-8000-000000000001", run_job_release},
    {"job events", "JOB", "organization", "",
     "events of a job: who asked, what happened, who got links",
     "job events 0198c0de-0000-7000-8000-000000000001", run_job_events},
    {"organization list", "", "", "", "organizations with jobs or limits of their own",
     "organization list", run_organization_list},
    {"organization show", "ID", "", "", "its limits and quotas, and what it uses of them",
     "organization show acme", run_organization_show},
    {"organization set", "ID",
     "running-max weight hold release unfinished-max stored-bytes-max requests-per-second-max",
     "hold|release", "set limits and quotas of an organization",
     "organization set acme --running-max 4 --weight 2\n"
     "organization set acme --stored-bytes-max none",
     run_organization_set},
    {"curve", "FILE", "", "", "make a CURVE key for TCP: the secret in FILE, the public one shown",
     "curve /etc/export-worker/daemon.curve", run_curve},
    {"link", "JOB", "organization explain", "", "mint a download URL for a completed export",
     "link 0198c0de-0000-7000-8000-000000000001", run_link},
    {"plugin list", "", "", "", "loaded plugins and what they answer", "plugin list",
     run_plugin_list},
    {"plugin show", "NAME", "", "", "generations of a plugin, and requests still in old ones",
     "plugin show download_url", run_plugin_show},
    {"plugin load", "FILE", "", "", "load one more plugin",
     "plugin load /usr/lib/export-worker/plugins/greeting.so", run_plugin_load},
    {"plugin reload", "NAME", "file dry-run no-bake allow lift-quarantine wait",
     "dry-run|no-bake dry-run|wait no-bake|wait",
     "replace the running code without losing a request",
     "plugin reload download_url --dry-run\n"
     "plugin reload download_url --file /usr/lib/export-worker/plugins/new.so --wait",
     run_plugin_reload},
    {"plugin rollback", "NAME", "to", "", "go back to the code before, or to a committed file",
     "plugin rollback download_url\nplugin rollback download_url --to 0123456789abcdef",
     run_plugin_rollback},
    {"plugin commit", "NAME", "", "", "end the bake now: the new code stays",
     "plugin commit download_url", run_plugin_commit},
    {"plugin unpin", "NAME", "", "", "remove the pin: reloads take the configured file again",
     "plugin unpin download_url", run_plugin_unpin},
    {"plugin history", "[NAME]", "", "", "what was loaded when, by which act, with which outcome",
     "plugin history\nplugin history download_url", run_plugin_history},
    {"plugin quarantine list", "", "offline state-dir daemon", "",
     "files that the daemon does not load again, and why",
     "plugin quarantine list\nplugin quarantine list --offline", run_plugin_quarantine_list},
    {"plugin quarantine lift", "HASH", "offline state-dir daemon", "",
     "let a file be loaded again; HASH: at least 8 digits of its SHA-256",
     "plugin quarantine lift 0123456789abcdef", run_plugin_quarantine_lift},
    {"plugin check", "FILE", "daemon", "",
     "whether the daemon would load this file; needs no daemon, with --config creates it, too",
     "plugin check ./new.so", run_plugin_check},
    {"sign", "", "explain", "", "JSON lines in, signed URLs out, offline (docs/signing.md)",
     "sign < requests.jsonl", run_sign},
    {"fsck", "", "apply max-withdrawn no-hashes", "",
     "compare jobs, files and hashes; prints a plan, changes nothing without --apply",
     "fsck\nfsck --apply\nfsck --apply --max-withdrawn 1200", run_fsck},
    {"compact", "", "pause-max", "",
     "give free space of the daemon's databases back to the disk while it runs "
     "(docs/operations.md)",
     "compact\ncompact --pause-max 2m", run_compact},
    {"backup", "DIRECTORY", "", "",
     "copy the daemon's databases and plugin files while it runs, into a new directory",
     "backup /var/backups/export-worker-monday", run_backup},
    {"restore", "DIRECTORY", "force no-hashes daemon", "",
     "while no daemon runs: put a backup in place of its databases and plugin files, then fsck",
     "restore /var/backups/export-worker-monday\n"
     "restore /var/backups/export-worker-monday --force",
     run_restore},
    {"migrate", "", "from! undo files daemon", "undo|files",
     "while no daemon runs: move its jobs, products and keys into the PostgreSQL of --config "
     "(docs/cluster.md)",
     "migrate --from /var/lib/export-worker --config /etc/export-worker/cluster.ini\n"
     "migrate --from /var/lib/export-worker --config /etc/export-worker/cluster.ini --files\n"
     "migrate --from /var/lib/export-worker --config /etc/export-worker/cluster.ini --undo",
     run_migrate},
    {"prune", "", "", "",
     "remove now what is older than file_retention_s and job_retention_s, instead of within a "
     "minute; gives way to requests",
     "prune", run_prune},
    {"retention resume", "", "", "",
     "confirm the clock: retention deletes again (docs/operations.md)", "retention resume",
     run_retention_resume},
    {"cluster status", "", "", "", "the daemons that share this one's database, and who leads",
     "cluster status", run_cluster_status},
    {"cluster evict", "INSTANCE", "", "",
     "take a daemon for dead now: its jobs run elsewhere within seconds",
     "cluster evict 0198c0de-0000-7000-8000-000000000001", run_cluster_evict},
    {"drain", "", "", "", "refuse new requests; what is in flight finishes", "drain", run_drain},
}};

bool begins_with(const std::vector<std::string_view>& words, std::span<const std::string> start) {
    return words.size() >= start.size() &&
           std::ranges::equal(std::span(words).first(start.size()), start);
}

}  // namespace

std::span<const ExitStatus> exit_statuses() {
    return kExitStatuses;
}
std::span<const Command> commands() {
    return kCommands;
}
std::span<const Flag> all_flags() {
    return kFlags;
}
std::span<const std::string_view> global_flags() {
    return kGlobalFlags;
}

const Flag& flag_named(std::string_view name) {
    const auto found = std::ranges::find(
        kFlags, name, [](const Flag& flag) { return std::string_view(flag.name); });
    EW_ASSERT(found != kFlags.end());
    return *found;
}

std::vector<std::string_view> split(std::string_view list, char separator) {
    std::vector<std::string_view> out;
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(separator), list.size());
        if (end > 0) out.push_back(list.substr(0, end));
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return out;
}

std::vector<OwnFlag> flags_of(const Command& command) {
    std::vector<OwnFlag> out;
    for (std::string_view name : split(command.flags)) {
        const bool required = name.ends_with('!');
        if (required) name.remove_suffix(1);
        out.push_back({&flag_named(name), required});
    }
    return out;
}

std::pair<std::size_t, std::size_t> argument_counts(const Command& command) {
    const auto names = split(command.arguments);
    const auto optional =
        std::ranges::count_if(names, [](auto name) { return name.starts_with('['); });
    return {names.size() - static_cast<std::size_t>(optional), names.size()};
}

const Command* find_command(std::span<const std::string> words) {
    for (const Command& command : kCommands) {
        const auto own = split(command.words);
        if (own.size() <= words.size() && begins_with(own, words.first(own.size())))
            return &command;
    }
    return nullptr;
}

std::vector<const Command*> commands_below(std::span<const std::string> words) {
    std::vector<const Command*> out;
    for (const Command& command : kCommands) {
        const auto own = split(command.words);
        if (own.size() > words.size() && begins_with(own, words)) out.push_back(&command);
    }
    return out;
}

}  // namespace export_worker::exportctl
