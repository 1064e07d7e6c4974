#include "exportctl/command.hpp"

#include <array>
#include <string>

#include "exportctl/commands.hpp"
#include "exportctl/output.hpp"

namespace export_worker::exportctl {
namespace {

using options::Flag;

constexpr std::array<Flag, 52> kFlags{{
    {"config", "FILE", "the configuration; default /etc/export-worker/export-worker.ini"},
    {"json", nullptr, "print the answer as JSON, for programs"},
    {"help", nullptr, "print help; behind a verb, that verb's"},
    {"version", nullptr, "print the version"},
    {"organization", "ID", "the organization to act for"},
    {"permission", "P,Q",
     "permissions of the key: product:read (default), job:read, job:create, template:write, "
     "link:explain"},
    {"role", "A,B", "roles of the member, as the roles file names them"},
    {"expires-in", "TIME", "when it ends: seconds, or 15m, 8h, 90d (sessions: default 1h)"},
    {"overlap", "TIME", "how long the old key still works: seconds, or 15m, 1h, 7d"},
    {"name", "TEXT", "what to call the key in lists"},
    {"products", "N", "how many products to make"},
    {"seed", "S", "which catalog to make; the same seed makes the same one (default 1)"},
    {"output", "FILE", "where to write it (default: standard output)"},
    {"format", "F", "csv (default), jsonl or xlsx"},
    {"profile", "P", "of csv: rfc4180 (default), excel, excel-eu or tsv"},
    {"compression", "C", "none (default), gzip or zstd"},
    {"variants", "V", "row_per_variant, parent_child, or for jsonl nested"},
    {"formulas", "F", "text a spreadsheet would run: off, guard or reject"},
    {"filter", "JSON", "only products this object describes (docs/exports.md)"},
    {"template", "NAME", "the fields of this saved template, where no flag says otherwise"},
    {"keys", "A,B", "export only these product keys"},
    {"columns", "A,B", "export only these columns, in this order"},
    {"filename", "NAME", "suggested download name"},
    {"priority", "P", "low, normal (default) or high, among the organization's own jobs"},
    {"start-at", "TIME", "not before this time, such as 2026-11-25T18:00:00Z"},
    {"deadline-s", "S", "fail the job when it has not ended so many seconds after its start"},
    {"max-attempts", "N", "how often to try before the job fails"},
    {"idempotency-key", "KEY", "the same key and request again is the same job"},
    {"running-max", "N", "its jobs that run at the same time; 'default': the configuration's"},
    {"unfinished-max", "N", "its jobs that have not ended; 'none': no quota"},
    {"stored-bytes-max", "N",
     "bytes of its exports in the store; at it no export is taken or started; 'none': no quota"},
    {"requests-per-second-max", "N", "requests with its keys and sessions; 'none': no quota"},
    {"weight", "N", "its share of the workers, against others' weights (default 1)"},
    {"hold", nullptr, "start none of its jobs until --release"},
    {"release", nullptr, "start its jobs again"},
    {"apply", nullptr, "repair what was found"},
    {"no-hashes", nullptr, "compare sizes only, read no file"},
    {"wait", nullptr, "wait for the end: of the export, or of the bake"},
    {"status", "S", "only jobs with this status"},
    {"type", "T", "only jobs of this type"},
    {"limit", "N", "at most this many (default 50)"},
    {"offset", "N", "skip this many"},
    {"explain", nullptr, "also print what was signed"},
    {"file", "FILE", "the .so to load instead of the configured one"},
    {"dry-run", nullptr, "do everything but publish it"},
    {"no-bake", nullptr, "commit at once; nothing is taken back by itself then"},
    {"allow", "M,N", "methods the new file may drop or make harder to retry"},
    {"lift-quarantine", nullptr, "try a file that was taken back or crashed its probe"},
    {"to", "HASH", "a committed file, by the start of its SHA-256 (default: the one before)"},
    {"offline", nullptr, "while no daemon runs: work on its state directory"},
    {"state-dir", "DIR", "with --offline: the state directory (default: the configuration's)"},
    {"daemon", "FILE", "the export-workerd to ask (default: the one beside exportctl)"},
}};

constexpr std::array<Command, 48> kCommands{{
    {"status", "", 0, 0, "", "the daemon at a glance: requests, jobs, plugins", run_status},
    {"metrics", "", 0, 0, "", "the daemon's numbers in the Prometheus text format", run_metrics},
    {"key create", "", 0, 0, "organization permission name expires-in",
     "make an API key; it is shown once", run_key_create},
    {"key rotate", "ID", 1, 1, "overlap expires-in",
     "make a key with the same rights; the old one ends after the overlap", run_key_rotate},
    {"key list", "", 0, 0, "organization",
     "all keys with last use and end, revoked and expired ones too", run_key_list},
    {"key revoke", "ID", 1, 1, "", "refuse a key from now on", run_key_revoke},
    {"member set", "SUBJECT", 1, 1, "organization role",
     "give a member roles in an organization; counts instead of what a token says", run_member_set},
    {"member deactivate", "SUBJECT", 1, 1, "organization role",
     "refuse a member from now on, whatever token is shown", run_member_deactivate},
    {"member list", "", 0, 0, "organization", "members with roles of their own here",
     run_member_list},
    {"session create", "SUBJECT", 1, 1, "expires-in",
     "make an opaque session of a member; it is shown once", run_session_create},
    {"session list", "", 0, 0, "", "opaque sessions that still count", run_session_list},
    {"session revoke", "ID", 1, 1, "", "refuse an opaque session from now on", run_session_revoke},
    {"catalog import", "FILE", 1, 1, "organization",
     "add or replace products, one JSON object a line ('-': stdin)", run_catalog_import},
    {"catalog generate", "", 0, 0, "products seed output", "make up a realistic catalog",
     run_catalog_generate},
    {"catalog import-prices", "FILE", 1, 1, "organization",
     "add or replace prices, one JSON object a line ('-': stdin)", run_price_import},
    {"export submit", "", 0, 0,
     "organization format profile compression variants formulas keys filter columns template "
     "filename priority start-at deadline-s max-attempts idempotency-key wait",
     "queue an export", run_export_submit},
    {"template put", "NAME FILE", 2, 2, "organization",
     "save the fields of an export under a name; FILE is a JSON object ('-': stdin)",
     run_template_put},
    {"template list", "", 0, 0, "organization", "the organization's templates", run_template_list},
    {"template show", "NAME", 1, 1, "organization", "one template as JSON", run_template_show},
    {"template drop", "NAME", 1, 1, "organization", "forget a template", run_template_drop},
    {"job show", "JOB", 1, 1, "organization", "one job in full", run_job_show},
    {"job list", "", 0, 0, "organization status type limit offset", "jobs, newest first",
     run_job_list},
    {"job cancel", "JOB", 1, 1, "organization", "stop a job that has not finished", run_job_cancel},
    {"job retry", "JOB", 1, 1, "organization", "run a failed or cancelled export again",
     run_job_retry},
    {"job hold", "JOB", 1, 1, "organization", "do not start a waiting export", run_job_hold},
    {"job release", "JOB", 1, 1, "organization", "let a held export start", run_job_release},
    {"job events", "JOB", 1, 1, "organization", "what happened to a job, who asked, who got links",
     run_job_events},
    {"organization list", "", 0, 0, "", "organizations with jobs or limits of their own",
     run_organization_list},
    {"organization show", "ID", 1, 1, "", "its limits and quotas, and what it uses of them",
     run_organization_show},
    {"organization set", "ID", 1, 1,
     "running-max weight hold release unfinished-max stored-bytes-max requests-per-second-max",
     "how much an organization may use", run_organization_set},
    {"curve", "FILE", 1, 1, "",
     "make a CURVE key for TCP: the secret in FILE, the public one shown", run_curve},
    {"link", "JOB", 1, 1, "organization explain", "mint a download URL for a completed export",
     run_link},
    {"plugin list", "", 0, 0, "", "loaded plugins and what they answer", run_plugin_list},
    {"plugin show", "NAME", 1, 1, "", "its generations, and who is still inside the old ones",
     run_plugin_show},
    {"plugin load", "FILE", 1, 1, "", "load one more plugin", run_plugin_load},
    {"plugin reload", "NAME", 1, 1, "file dry-run no-bake allow lift-quarantine wait",
     "replace the running code without losing a request", run_plugin_reload},
    {"plugin rollback", "NAME", 1, 1, "to", "go back to the code before, or to a committed file",
     run_plugin_rollback},
    {"plugin commit", "NAME", 1, 1, "", "end the bake now: the new code stays", run_plugin_commit},
    {"plugin unpin", "NAME", 1, 1, "", "let the configured file count again", run_plugin_unpin},
    {"plugin history", "[NAME]", 0, 1, "", "what was loaded when, by whom, and what came of it",
     run_plugin_history},
    {"plugin quarantine list", "", 0, 0, "offline state-dir daemon",
     "files that the daemon does not load again, and why", run_plugin_quarantine_list},
    {"plugin quarantine lift", "HASH", 1, 1, "offline state-dir daemon",
     "let a file be loaded again; HASH: at least 8 digits of its SHA-256",
     run_plugin_quarantine_lift},
    {"plugin check", "FILE", 1, 1, "daemon",
     "would the daemon take this file? Works without one; with --config also creates it",
     run_plugin_check},
    {"sign", "", 0, 0, "explain", "JSON lines in, signed URLs out, offline (docs/signing.md)",
     run_sign},
    {"fsck", "", 0, 0, "apply no-hashes",
     "compare jobs, files and hashes; prints a plan, changes nothing without --apply", run_fsck},
    {"backup", "DIRECTORY", 1, 1, "",
     "copy the daemon's databases while it runs; replaces an older copy there", run_backup},
    {"retention resume", "", 0, 0, "",
     "the clock is right: delete old files and jobs again (docs/operations.md)",
     run_retention_resume},
    {"drain", "", 0, 0, "", "refuse new requests; what is in flight finishes", run_drain},
}};

}  // namespace

std::span<const Command> commands() {
    return kCommands;
}
std::span<const Flag> all_flags() {
    return kFlags;
}

int complain(ExitCode code, std::string_view text) {
    print_note("exportctl: " + std::string(text));
    return code;
}

}  // namespace export_worker::exportctl
