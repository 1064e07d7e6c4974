// catalog import, catalog generate, sign: lines in, lines out.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>

#include "base/json.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/control_client.hpp"
#include "exportctl/generate.hpp"
#include "exportctl/input.hpp"
#include "exportctl/limits.hpp"
#include "exportctl/output.hpp"
#include "exportctl/progress.hpp"
#include "exportctl/sign.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
using options::Arguments;

// Collects lines into batches that fit a message. A line that cannot travel is reported here and
// left empty, so that the numbers of the others stay right.
class Importer {
public:
    struct What {
        const char* method;
        const char* done;              // "products imported"
        std::int64_t bytes_total = 0;  // Of the whole input; 0: unknown.
    };
    Importer(ControlClient client, What what, std::string organization, bool quiet)
        : client_(std::move(client)),
          what_(what),
          organization_(std::move(organization)),
          bar_(quiet) {}

    // `line` may be the beginning of a line of `line_bytes`. False: the daemon refused or is gone;
    // error() says why.
    bool add(std::string& line, std::size_t line_bytes) {
        ++line_number_;
        bytes_read_ += static_cast<std::int64_t>(line_bytes) + 1;
        if (line_bytes > limits::kProductLineBytesMax) {
            reject("expected at most " + std::to_string(limits::kProductLineBytesMax) +
                       " bytes, found " + std::to_string(line_bytes),
                   line);
        } else if (!is_valid_utf8(line)) {
            reject("expected UTF-8", line);
        }
        if (batch_.size() + line.size() + 1 > limits::kImportBatchBytes && !flush()) return false;
        batch_ += line;
        batch_ += '\n';
        return true;
    }
    bool flush() {
        if (batch_.empty()) return true;
        const auto answer = client_.call(
            what_.method,
            {{"organization", organization_}, {"lines", batch_}, {"first_line", first_line_}}, {},
            std::chrono::seconds(60));
        if (!answer) {
            error_ = answer.error();
            return false;
        }
        imported_ += (*answer)["imported"].get<std::int64_t>();
        rejected_ += (*answer)["rejected"].get<std::int64_t>();
        for (const json& error : (*answer)["errors"]) note(error);
        first_line_ = line_number_;
        batch_.clear();
        bar_.update(bytes_read_, what_.bytes_total, std::to_string(imported_) + " " + what_.done);
        return true;
    }
    [[nodiscard]] const message::WireError& error() const { return error_; }
    [[nodiscard]] std::int64_t rejected() const { return rejected_; }
    [[nodiscard]] json report() {
        // What was found here and what the daemon found come in at different times.
        std::sort(errors_.begin(), errors_.end(),
                  [](const json& a, const json& b) { return a["line"] < b["line"]; });
        return {{"imported", imported_}, {"rejected", rejected_}, {"errors", errors_}};
    }

private:
    void reject(const std::string& why, std::string& line) {
        ++rejected_;
        note({{"line", line_number_}, {"message", why}});
        line.clear();
    }
    void note(const json& error) {
        if (errors_.size() < limits::kImportErrorsShownMax) errors_.push_back(error);
    }

    ControlClient client_;
    What what_;
    std::string organization_;
    ProgressBar bar_;
    std::string batch_;
    std::int64_t bytes_read_ = 0;
    std::int64_t line_number_ = 0;
    std::int64_t first_line_ = 1;
    std::int64_t imported_ = 0;
    std::int64_t rejected_ = 0;
    json errors_ = json::array();
    message::WireError error_;
};

void show_report(const json& report) {
    for (const json& error : report["errors"]) {
        print_note("line " + cell(error["line"]) + ": " + cell(error["message"]));
    }
    const std::int64_t hidden =
        report["rejected"].get<std::int64_t>() - static_cast<std::int64_t>(report["errors"].size());
    if (hidden > 0) print_note("and " + std::to_string(hidden) + " more bad lines");
}

// A database that a daemon may have open must not be truncated.
bool is_database(const std::string& path) {
    constexpr std::string_view kMagic = "SQLite format 3";
    std::string begin(kMagic.size(), '\0');
    std::ifstream file(path, std::ios::binary);
    return file.read(begin.data(), static_cast<std::streamsize>(begin.size())) && begin == kMagic;
}

int import_file(const Context& context, const Arguments& arguments, Importer::What what) {
    auto input = Input::open(arguments.words[0]);
    if (!input) return input.error();
    auto client = ControlClient::open(context);
    if (!client) return client.error();
    what.bytes_total = input->bytes_total();
    json report;
    {
        Importer importer(std::move(*client), what, arguments.get("organization"), context.json);
        std::string line;
        bool good = true;
        while (good && input->read_line(line, limits::kProductLineBytesMax))
            good = importer.add(line, input->line_bytes());
        good = good && importer.flush();
        report = importer.report();
        if (!good) return complain(importer.error());
    }
    if (context.json) {
        print_json(report);
    } else {
        show_report(report);
        print_line(cell(report["imported"]) + " " + what.done + ", " + cell(report["rejected"]) +
                   " lines rejected");
    }
    if (const auto read = input->check(); !read)
        return complain(kExitRefused, read.error().message);
    return report["rejected"] == 0 ? kExitOk : kExitBadData;
}

}  // namespace

int run_catalog_import(const Context& context, const Arguments& arguments) {
    return import_file(context, arguments, {"control.catalog_import", "products imported"});
}

int run_price_import(const Context& context, const Arguments& arguments) {
    return import_file(context, arguments, {"control.price_import", "prices imported"});
}

int run_catalog_generate(const Context&, const Arguments& arguments) {
    json numbers = {{"seed", std::uint64_t{1}}};
    put_number(arguments, "products", "products", numbers);
    put_number(arguments, "seed", "seed", numbers);
    const auto products = numbers["products"].get<std::uint64_t>();
    const auto seed = numbers["seed"].get<std::uint64_t>();
    std::ofstream opened;
    if (arguments.has("output")) {
        if (is_database(arguments.get("output")))
            return complain(kExitRefused, "create " + arguments.get("output") +
                                              ": found a SQLite database; choose another file");
        opened.open(arguments.get("output"), std::ios::binary | std::ios::trunc);
        if (!opened)
            return complain(kExitUsage,
                            "create " + arguments.get("output") + ": " + std::strerror(errno));
    }
    std::ostream& out = arguments.has("output") ? opened : std::cout;
    for (std::uint64_t index = 0; index < products && out; ++index)
        out << generate_product(seed, index) << '\n';
    out.flush();
    if (out) return kExitOk;
    return arguments.has("output")
               ? complain(kExitRefused,
                          "write " + arguments.get("output") + ": failed; is the disk full?")
               : complain(kExitOutput, "write standard output: failed; is the disk full?");
}

int run_sign(const Context&, const Arguments& arguments) {
    auto input = Input::open("-");
    if (!input) return input.error();
    bool all_good = true;
    std::string line;
    while (input->read_line(line, limits::kSignLineBytesMax)) {
        if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
        const json answer = input->line_bytes() > limits::kSignLineBytesMax
                                ? sign_error("expected a line of at most " +
                                             std::to_string(limits::kSignLineBytesMax) +
                                             " bytes, found " + std::to_string(input->line_bytes()))
                                : sign_line(line, arguments.has("explain"));
        all_good = all_good && !answer.contains("error");
        print_json(answer);
    }
    if (const auto read = input->check(); !read)
        return complain(kExitRefused, read.error().message);
    return all_good ? kExitOk : kExitBadData;
}

}  // namespace export_worker::exportctl
