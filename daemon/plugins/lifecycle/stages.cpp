#include "daemon/plugins/lifecycle/stages.hpp"

#include <algorithm>

#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"
#include "daemon/plugins/probing/golden.hpp"
#include "daemon/plugins/probing/process_guard.hpp"
#include "daemon/plugins/running/crash_record.hpp"

namespace export_worker::plugins {
namespace {

using std::chrono::milliseconds;

std::string join(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

// One load on its way through the stages.
class Candidate {
public:
    Candidate(const LoadOrder& order, const StageDeps& deps, const Progress& progress)
        : order_(order), deps_(deps), progress_(progress), since_(deps.host.clock->steady()) {}

    [[nodiscard]] Verdict<LoadResult> run();
    [[nodiscard]] LoadFailure failure(Refusal refusal) const {
        return {std::move(refusal), manifest().name.empty() ? order_.plugin : manifest().name,
                artifact_.sha256, may_be_mapped_};
    }

private:
    [[nodiscard]] Verdict<void> stage();
    [[nodiscard]] Verdict<void> read_golden();
    [[nodiscard]] Verdict<void> inspect_bytes();
    [[nodiscard]] bool is_unchanged() const;
    [[nodiscard]] Verdict<void> check_quarantine() const;
    [[nodiscard]] Verdict<void> check_probes() const;
    [[nodiscard]] Verdict<void> try_in_child(const std::string& live_copy);
    [[nodiscard]] Verdict<ProbeReport> probe_marked(const ProbeRequest& request);
    [[nodiscard]] Verdict<void> compare() const;
    [[nodiscard]] Verdict<void> check_budget() const;
    [[nodiscard]] Verdict<Loaded> load(const std::string& live_copy);
    [[nodiscard]] Verdict<std::unique_ptr<Generation>> load_marked(Generation::Setup setup);
    [[nodiscard]] Verdict<void> check_loaded(const Generation& generation) const;
    void put_away(std::unique_ptr<Generation> generation);
    void quarantine(const Refusal& refusal) const;
    void step(const std::string& name, const std::string& detail);
    [[nodiscard]] const Manifest& manifest() const { return inspected_.manifest; }
    [[nodiscard]] const std::string& sha256() const { return artifact_.sha256; }

    const LoadOrder& order_;
    const StageDeps& deps_;
    const Progress& progress_;
    SteadyTime since_;  // When the stage began.
    Artifact artifact_;
    std::string configured_sha256_;
    std::string golden_;
    Inspected inspected_;
    ProbeReport probed_;
    std::vector<std::string> pinned_by_;
    bool may_be_mapped_ = false;
};

void Candidate::step(const std::string& name, const std::string& detail) {
    const SteadyTime now = deps_.host.clock->steady();
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now - since_);
    since_ = now;
    progress_([&](ReloadReport& report) { report.steps.push_back({name, detail, took.count()}); });
}

Verdict<LoadResult> Candidate::run() {
    EW_CHECK(stage());
    fault_point("plugin.staged");
    EW_CHECK(inspect_bytes());
    fault_point("plugin.inspected");
    LoadResult out{manifest().name, sha256(), configured_sha256_, {}, is_unchanged()};
    if (out.unchanged) return out;
    EW_CHECK(check_quarantine());
    EW_CHECK(check_probes());
    EW_TRY(const std::string live_copy, deps_.artifacts.make_live_copy(artifact_));
    fault_point("plugin.live_copy_made");
    const auto judged = [&]() -> Verdict<void> {
        EW_CHECK(try_in_child(live_copy));
        fault_point("plugin.probe_ended");
        EW_CHECK(compare());
        return check_budget();
    }();
    if (!judged || order_.dry_run) deps_.artifacts.drop_live_copy(live_copy);
    EW_CHECK(judged);
    if (order_.dry_run) return out;
    EW_TRY(out.loaded, load(live_copy));
    return out;
}

// Which file it is: the start after this one must be able to tell whether the configured one has
// changed, even when it is not the one to be loaded.
Verdict<void> Candidate::stage() {
    if (order_.file.empty()) {
        EW_TRY(artifact_, deps_.artifacts.find(order_.kept_sha256));
        if (!order_.configured_file.empty()) {
            const auto configured = deps_.artifacts.take_in(order_.configured_file);
            if (configured) configured_sha256_ = configured->sha256;
        }
    } else {
        progress_([&](ReloadReport& report) { report.file = order_.file; });
        const bool is_sent = !order_.sent_path.empty();
        EW_TRY(artifact_, is_sent ? deps_.artifacts.take_in_sent(order_.sent_path, order_.file)
                                  : deps_.artifacts.take_in(order_.file));
        configured_sha256_ = sha256();
        if (!order_.configured_file.empty() && (is_sent || order_.configured_file != order_.file)) {
            const auto configured = deps_.artifacts.take_in(order_.configured_file);
            configured_sha256_ = configured ? configured->sha256 : std::string();
        }
        const std::string target = target_of(order_.kept, order_.origin, sha256());
        if (order_.file == order_.configured_file && target != sha256()) {
            EW_TRY(artifact_, deps_.artifacts.find(target));
        }
    }
    progress_([&](ReloadReport& report) { report.sha256 = sha256(); });
    EW_CHECK(read_golden());
    step("staging", "sha256 " + sha256());
    if (order_.refused_because && sha256() == order_.refused_sha256)
        return refuse(*order_.refused_because);
    return {};
}

Verdict<void> Candidate::read_golden() {
    if (order_.file.empty()) return {};
    const bool is_sent = !order_.sent_path.empty();
    if (is_sent && order_.sent_golden && order_.golden_file.empty()) {
        golden_ = *order_.sent_golden;
        return {};
    }
    EW_TRY(golden_, read_golden_file(order_.golden_file, is_sent ? "" : order_.file,
                                     order_.configured_file));
    return {};
}

Verdict<void> Candidate::inspect_bytes() {
    EW_TRY(inspected_,
           inspect(artifact_.bytes, order_.policy.allow_needed, order_.policy.allow_imports));
    progress_([&](ReloadReport& report) {
        if (order_.plugin.empty()) report.plugin = manifest().name;
        report.version = manifest().version;
        report.build_id = manifest().build_id;
    });
    if (!order_.plugin.empty() && manifest().name != order_.plugin) {
        return refuse({"wrong_name", "inspection", "the plugin " + order_.plugin,
                       "one that calls itself " + manifest().name,
                       "correct the section name or the file"});
    }
    const bool is_loaded = std::ranges::any_of(
        order_.methods, [this](const auto& method) { return method.second == manifest().name; });
    if (order_.is_new && is_loaded) {
        return refuse({"conflict", "inspection", "a plugin that is not loaded yet",
                       manifest().name + " is already loaded",
                       "replace it with: exportctl plugin reload " + manifest().name});
    }
    pinned_by_ = inspected_.pinned_by;
    step("inspection", manifest().name + " " + manifest().version + ", ABI " +
                           std::to_string(manifest().abi_major) + "." +
                           std::to_string(manifest().abi_minor) + ", build-id " +
                           manifest().build_id);
    return {};
}

bool Candidate::is_unchanged() const {
    if (!order_.serving) return false;
    const Serving& serving = *order_.serving;
    // New ones from the same store reach the active generation as they are; another store with
    // the same in it changes nothing.
    const bool same_credentials = serving.credentials == order_.credentials ||
                                  (serving.credentials && order_.credentials &&
                                   serving.credentials->has_same_material(*order_.credentials));
    return serving.sha256 == sha256() && serving.settings == order_.settings && same_credentials;
}

Verdict<void> Candidate::check_quarantine() const {
    const auto found = deps_.history.quarantined(sha256());
    if (!found) return refuse(refusal_of("history", found.error()));
    if (!*found) return {};
    const Quarantined& bad = **found;
    const bool has_more_time = bad.probe_timeout_ms > 0 &&
                               order_.policy.probe_timeout > milliseconds(bad.probe_timeout_ms);
    if (order_.lift_quarantine || has_more_time) {
        if (auto lifted = deps_.history.lift_quarantine(sha256()); !lifted)
            return refuse(refusal_of("history", lifted.error()));
        return {};
    }
    const std::string hash = sha256().substr(0, 16);
    return refuse(
        {"quarantined", "inspection", "a file that is not quarantined",
         hash + ", quarantined at " + to_iso8601(bad.at_us) + ": " + bad.reason,
         "build a better one, or try this one again: plugin reload --lift-quarantine, or exportctl "
         "plugin quarantine lift " +
             hash + " (with --offline while the daemon is stopped)"});
}

// A file in whose probes the daemon has died is probed for an operator alone.
Verdict<void> Candidate::check_probes() const {
    if (order_.origin == Origin::kOperator) return {};
    const auto deaths = deps_.history.deaths({manifest().name, sha256(), kProbingPhase});
    if (!deaths) return refuse(refusal_of("history", deaths.error()));
    if (*deaths < limits::kPluginDeathsMax) return {};
    return refuse(
        {"probe_ends_daemon", "inspection", "a file whose probe leaves the daemon alone",
         sha256().substr(0, 16) + ": the daemon died " + std::to_string(*deaths) +
             " times in a row during its probe",
         "build a better one, or try this one again: exportctl plugin reload " + manifest().name});
}

// Of a crash or a hang in the probe.
void Candidate::quarantine(const Refusal& refusal) const {
    if (refusal.code != "probe_crash" && refusal.code != "probe_timeout") return;
    if (!refusal.has_run) return;  // It is the machine's fault.
    // With more time it may pass: see check_quarantine().
    const bool slow = refusal.code == "probe_timeout";
    // It has served here: a machine that is busy now is not its fault.
    if (slow && sha256() == order_.kept.committed_sha256) return;
    const milliseconds timeout = slow ? order_.policy.probe_timeout : milliseconds(0);
    if (auto kept = deps_.history.quarantine(manifest().name, sha256(), to_text(refusal), timeout);
        !kept)
        log_error("plugin {}: {}", manifest().name, kept.error().message);
}

Verdict<void> Candidate::try_in_child(const std::string& live_copy) {
    ProbeRequest request;
    request.file = live_copy;
    request.sha256 = sha256();
    request.manifest = manifest();
    request.config = order_.settings;
    request.golden = golden_;
    request.credentials = order_.credentials;
    request.timeout = order_.policy.probe_timeout;
    auto probed = probe_marked(request);
    if (!probed) {
        quarantine(probed.error());
        return refuse(probed.error());
    }
    probed_ = std::move(*probed);
    pinned_by_.insert(pinned_by_.end(), probed_.pinned_by.begin(), probed_.pinned_by.end());
    step("probe",
         std::to_string(probed_.golden_requests) + " golden requests; " +
             (pinned_by_.empty() ? "can be unmapped" : "stays mapped: " + join(pinned_by_)));
    progress_([&](ReloadReport& report) { report.pinned_by = pinned_by_; });
    return {};
}

// What is probed has the daemon's user and can kill the daemon.
Verdict<ProbeReport> Candidate::probe_marked(const ProbeRequest& request) {
    const PluginCallMark mark{manifest().name, sha256(), kProbingPhase};
    if (auto marked = deps_.history.begin_call(mark); !marked)
        return refuse(refusal_of("history", marked.error()));
    fault_point("plugin.probe_marked");
    auto probed = probe(deps_.probe_program, request, *deps_.host.clock, &deps_.stopping);
    if (auto ended = deps_.history.end_call(mark); !ended)
        log_error("plugin {}: {}", mark.plugin, ended.error().message);
    return probed;
}

Verdict<void> Candidate::compare() const {
    if (!order_.serving) return {};
    const ContractDiff diff = compare_contracts(order_.serving->methods, probed_.methods);
    progress_([&](ReloadReport& report) { report.contract = diff; });
    if (!order_.checks_contract) return {};
    return check_contract(diff, order_.allowed_contract_changes);
}

Verdict<void> Candidate::check_budget() const {
    const std::size_t bytes = order_.image_bytes + artifact_.bytes.size();
    if (order_.images < order_.policy.generations_max && bytes <= limits::kPluginMappedBytesMax)
        return {};
    return refuse({"budget", "budget",
                   "fewer than " + std::to_string(order_.policy.generations_max) +
                       " images of this plugin in memory",
                   std::to_string(order_.images) + ", of " + std::to_string(bytes) + " bytes",
                   "restart the daemon when convenient; [plugins] retire = unmap frees images, "
                   "generations_max allows more"});
}

Verdict<Loaded> Candidate::load(const std::string& live_copy) {
    Generation::Setup setup;
    setup.path = live_copy;
    setup.sha256 = sha256();
    setup.manifest = manifest();
    setup.number = order_.number;
    setup.config = order_.settings;
    setup.deps = deps_.host;
    setup.deps.credentials = order_.credentials;
    setup.reason = order_.reason;
    setup.on_fault = order_.on_fault;
    setup.shadow_requests = order_.shadow_requests;
    setup.unmap_if_refused = pinned_by_.empty();
    auto generation = load_marked(std::move(setup));
    if (!generation) {
        // One that does not return may still map it.
        may_be_mapped_ =
            generation.error().code == "load_timeout" || Generation::is_file_mapped(live_copy);
        if (!may_be_mapped_) deps_.artifacts.drop_live_copy(live_copy);
        return refuse(generation.error());
    }
    if (auto good = check_loaded(**generation); !good) {
        put_away(std::move(*generation));
        return refuse(good.error());
    }
    step("loading", "generation " + std::to_string(order_.number));
    return Loaded{std::move(*generation),
                  order_.file.empty() ? live_copy : order_.file,
                  order_.settings,
                  order_.credentials,
                  pinned_by_,
                  artifact_.bytes.size()};
}

void watch_code(const Generation& generation) {
    const CrashedFile file{generation.manifest().name, generation.sha256()};
    if (watch_image(generation.path(), file)) return;
    log_warn("plugin {} generation {}: crashes on threads of its own will not be told as its own",
             file.plugin, generation.number());
}

// No code of the plugin runs here before the mark is on disk.
Verdict<std::unique_ptr<Generation>> Candidate::load_marked(Generation::Setup setup) {
    const PluginCallMark mark{manifest().name, sha256(), kLoadingPhase};
    if (deps_.calls.hung().size() >= limits::kPluginCallsHungMax) {
        return refuse({"budget", "loading",
                       "fewer than " + std::to_string(limits::kPluginCallsHungMax) +
                           " calls into plugins that do not return",
                       std::to_string(limits::kPluginCallsHungMax), "restart the daemon"});
    }
    std::vector<std::string> methods;
    for (const PluginMethod& method : probed_.methods) methods.push_back(method.name);
    if (auto kept = deps_.history.set_methods(mark.plugin, join(methods)); !kept)
        return refuse(refusal_of("history", kept.error()));
    // Shared with a call that does not return.
    const auto owned = std::make_shared<Generation::Setup>(std::move(setup));
    const auto loaded = std::make_shared<std::optional<Verdict<std::unique_ptr<Generation>>>>();
    const auto returned = deps_.calls.run(mark, order_.policy.probe_timeout, [owned, loaded] {
        const auto& result = loaded->emplace(load_guarded(std::move(*owned)));
        // Under the mark: a thread that create() has started may crash at once.
        if (result) watch_code(**result);
    });
    if (!returned) return refuse(refusal_of("history", returned.error()));
    fault_point("plugin.loaded");
    if (*returned) return std::move(**loaded);
    return refuse({"load_timeout", "loading",
                   std::string(kLoadingPhase) + " to return within [plugins] probe_timeout_s",
                   "it has not, and its thread is left behind",
                   "make it faster or raise probe_timeout_s; restart the daemon when convenient"});
}

Verdict<void> Candidate::check_loaded(const Generation& generation) const {
    EW_CHECK(check_same_methods(probed_.methods, generation.methods()));
    for (const PluginMethod& method : generation.methods()) {
        const auto other = order_.methods.find(method.name);
        if (other == order_.methods.end() || other->second == manifest().name) continue;
        return refuse({"conflict", "loading", "methods that no other plugin answers",
                       method.name + " belongs to plugin " + other->second, "rename the method"});
    }
    return {};
}

// One that will not serve: unmapped if its probe has shown that this can be done.
void Candidate::put_away(std::unique_ptr<Generation> generation) {
    const bool may_unmap = pinned_by_.empty();
    may_be_mapped_ = true;
    if (!deps_.calls.end(*generation, order_.policy.probe_timeout, may_unmap))
        return leave_alone(std::move(generation));
    may_be_mapped_ = !may_unmap || generation->is_mapped();
    if (!may_be_mapped_) forget_image(generation->path());
    if (!may_be_mapped_) deps_.artifacts.drop_live_copy(generation->path());
}

}  // namespace

tl::expected<LoadResult, LoadFailure> run_stages(const LoadOrder& order, const StageDeps& deps,
                                                 const Progress& progress) {
    Candidate candidate(order, deps, progress);
    auto result = candidate.run();
    if (!result) return tl::unexpected(candidate.failure(std::move(result.error())));
    return std::move(*result);
}

}  // namespace export_worker::plugins
