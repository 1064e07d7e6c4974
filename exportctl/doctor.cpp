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

    CheckResults run() {
        ask();
        CheckResults out;
        const auto patient = std::make_shared<const Patient>(patient_);
        for (const Check& check : kChecks) {
            CheckEnd end = run_bounded(check, patient, limits::kDoctorCheckTimeout);
            left_behind_ = left_behind_ || end.left_behind;
            for (CheckResult& result : end.results) out.push_back(std::move(result));
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

std::string line_of(const CheckResult& result) {
    std::string out = word_of(result.health);
    out.resize(6, ' ');
    out +=
        result.check + (result.subject.empty() ? "" : " " + result.subject) + ": " + result.detail;
    return result.remedy.empty() ? out : out + "; " + result.remedy;
}

json json_of(const CheckResults& results, Health worst) {
    json items = json::array();
    for (const CheckResult& result : results) {
        items.push_back({{"check", result.check},
                         {"subject", result.subject},
                         {"health", word_of(result.health)},
                         {"detail", result.detail},
                         {"remedy", result.remedy}});
    }
    return {{"health", word_of(worst)}, {"items", std::move(items)}};
}

void show(const Context& context, const CheckResults& results, Health worst) {
    if (context.json) return print_json(json_of(results, worst));
    for (const CheckResult& result : results) print_line(line_of(result));
}

}  // namespace

int run_doctor(const Context& context, const options::Arguments&) {
    auto installation = read_installation(context.config_path);
    if (!installation) return complain(kExitConfig, installation.error().message);
    Doctor doctor({context, std::move(*installation)});
    const CheckResults results = doctor.run();
    Health worst = Health::kOk;
    for (const CheckResult& result : results) worst = std::max(worst, result.health);
    show(context, results, worst);
    const int status = static_cast<int>(worst);
    // No destructor may run under the thread that was left.
    if (doctor.left_behind()) std::_Exit(options::flush_output() ? status : int{kExitOutput});
    return status;
}

}  // namespace export_worker::exportctl
