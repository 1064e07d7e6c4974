#include "exportctl/doctor.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "base/json.hpp"
#include "exportctl/bounded_check.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/limits.hpp"
#include "exportctl/output.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;

constexpr std::array<Check, 10> kChecks{{{"configuration", check_configuration},
                                         {"daemon", check_daemon},
                                         {"alarm", check_alarms},
                                         {"shim", check_shim},
                                         {"public address", check_public_address},
                                         {"store", check_stores},
                                         {"clock", check_clock},
                                         {"disk", check_disks},
                                         {"file", check_files},
                                         {"unit", check_units}}};

class Doctor {
public:
    explicit Doctor(Patient patient) : patient_(std::move(patient)) {}

    Findings run() {
        ask();
        Findings out;
        const auto patient = std::make_shared<const Patient>(patient_);
        for (const Check& check : kChecks) {
            CheckEnd end = run_bounded(check, patient, limits::kDoctorCheckTimeout);
            left_behind_ = left_behind_ || end.left_behind;
            for (Finding& finding : end.findings) out.push_back(std::move(finding));
        }
        return out;
    }
    // A check that did not end still runs and uses this process.
    [[nodiscard]] bool left_behind() const { return left_behind_; }

private:
    void ask() {
        auto status = std::make_shared<json>();
        const Context context = patient_.context;
        const auto work = [context, status] {
            if (auto answer = ask_status(context)) *status = std::move(*answer);
        };
        const bool ended = ends_within(work, limits::kDoctorCheckTimeout);
        left_behind_ = left_behind_ || !ended;
        if (ended && !status->is_null()) patient_.status = status;
    }

    Patient patient_;
    bool left_behind_ = false;
};

const char* word_of(Health health) {
    switch (health) {
        case Health::kOk: return "ok";
        case Health::kWarn: return "warn";
        case Health::kBad: return "bad";
    }
    return "bad";
}

std::string line_of(const Finding& finding) {
    std::string out = word_of(finding.health);
    out.resize(6, ' ');
    out += finding.check + (finding.subject.empty() ? "" : " " + finding.subject) + ": " +
           finding.detail;
    return finding.remedy.empty() ? out : out + "; " + finding.remedy;
}

json json_of(const Findings& findings, Health worst) {
    json items = json::array();
    for (const Finding& finding : findings) {
        items.push_back({{"check", finding.check},
                         {"subject", finding.subject},
                         {"health", word_of(finding.health)},
                         {"detail", finding.detail},
                         {"remedy", finding.remedy}});
    }
    return {{"health", word_of(worst)}, {"items", std::move(items)}};
}

void show(const Context& context, const Findings& findings, Health worst) {
    if (context.json) return print_json(json_of(findings, worst));
    for (const Finding& finding : findings) print_line(line_of(finding));
}

}  // namespace

int run_doctor(const Context& context, const options::Arguments&) {
    auto installation = read_installation(context.config_path);
    if (!installation) return complain(kExitConfig, installation.error().message);
    Doctor doctor({context, std::move(*installation)});
    const Findings findings = doctor.run();
    Health worst = Health::kOk;
    for (const Finding& finding : findings) worst = std::max(worst, finding.health);
    show(context, findings, worst);
    const int status = static_cast<int>(worst);
    // No destructor may run under the thread that was left.
    if (doctor.left_behind()) std::_Exit(options::flush_output() ? status : int{kExitOutput});
    return status;
}

}  // namespace export_worker::exportctl
