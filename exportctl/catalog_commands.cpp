// catalog import, catalog generate, sign: lines in, lines out.
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "exportctl/commands.hpp"
#include "exportctl/control_client.hpp"
#include "exportctl/generate.hpp"
#include "exportctl/import_chunk.hpp"
#include "exportctl/input.hpp"
#include "exportctl/limits.hpp"
#include "exportctl/output.hpp"
#include "exportctl/progress.hpp"
#include "exportctl/sign.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
using options::Arguments;

// Sends lines in batches that fit a message, sorted within chunks. A line that cannot travel is
// reported here.
class Importer {
public:
    struct What {
        const char* method;
        const char* key_member;        // ImportChunk.
        const char* done;              // "products imported"
        std::int64_t bytes_total = 0;  // Of the whole input; 0: unknown.
    };
    Importer(ControlClient client, What what, std::string organization, bool quiet)
        : client_(std::move(client)),
          what_(what),
          organization_(std::move(organization)),
          bar_(quiet),
          chunk_(what.key_member) {}

    // `line` may be the beginning of a line of `line_bytes`. False: the daemon refused or is gone;
    // error() says why.
    bool add(const std::string& line, std::size_t line_bytes) {
        ++line_number_;
        const auto bytes_read = static_cast<std::int64_t>(line_bytes) + 1;
        const std::string problem = problem_of(line, line_bytes);
        if (!problem.empty()) {
            ++rejected_;
            note({{"line", line_number_}, {"message", problem}});
            bytes_done_ += bytes_read;
            return true;
        }
        chunk_.add({line, line_number_, bytes_read, ""});
        return !chunk_.is_full() || flush();
    }
    bool flush() {
        for (const ImportLine& line : chunk_.take_sorted()) {
            const std::size_t bytes = line.text.size() + 1;
            if (batch_.size() + bytes > limits::kImportBatchBytes && !send()) return false;
            batch_ += line.text;
            batch_ += '\n';
            numbers_.push_back(line.number);
            batch_bytes_read_ += line.bytes_read;
        }
        return send();
    }
    [[nodiscard]] const message::WireError& error() const { return error_; }
    [[nodiscard]] json report() {
        std::ranges::sort(errors_, {}, line_of);
        return {{"imported", imported_}, {"rejected", rejected_}, {"errors", errors_}};
    }

private:
    static std::int64_t line_of(const json& error) { return error["line"].get<std::int64_t>(); }
    // Why it cannot travel; empty: it can.
    static std::string problem_of(const std::string& line, std::size_t line_bytes) {
        if (line_bytes > limits::kProductLineBytesMax)
            return "expected at most " + std::to_string(limits::kProductLineBytesMax) +
                   " bytes, found " + std::to_string(line_bytes);
        return is_valid_utf8(line) ? "" : "expected UTF-8, found other bytes";
    }
    bool send() {
        if (batch_.empty()) return true;
        // The daemon counts on from the first one.
        const std::int64_t first_line = numbers_.front();
        const auto answer = client_.call(
            what_.method,
            {{"organization", organization_}, {"lines", batch_}, {"first_line", first_line}}, {},
            std::chrono::seconds(60));
        if (!answer) {
            error_ = answer.error();
            return false;
        }
        imported_ += (*answer)["imported"].get<std::int64_t>();
        rejected_ += (*answer)["rejected"].get<std::int64_t>();
        for (json error : (*answer)["errors"]) {
            error["line"] = numbers_.at(static_cast<std::size_t>(line_of(error) - first_line));
            note(std::move(error));
        }
        bytes_done_ += std::exchange(batch_bytes_read_, 0);
        batch_.clear();
        numbers_.clear();
        bar_.update(bytes_done_, what_.bytes_total, std::to_string(imported_) + " " + what_.done);
        return true;
    }
    // Keeps the first lines of the input: errors come in the order of keys.
    void note(json error) {
        if (errors_.size() < limits::kImportErrorsShownMax) {
            errors_.push_back(std::move(error));
            return;
        }
        const auto last = std::ranges::max_element(errors_, {}, line_of);
        if (line_of(error) < line_of(*last)) *last = std::move(error);
    }

    ControlClient client_;
    What what_;
    std::string organization_;
    ProgressBar bar_;
    ImportChunk chunk_;
    std::string batch_;
    std::vector<std::int64_t> numbers_;  // Of the lines of batch_.
    std::int64_t batch_bytes_read_ = 0;
    std::int64_t bytes_done_ = 0;  // Sent or rejected.
    std::int64_t line_number_ = 0;
    std::int64_t imported_ = 0;
    std::int64_t rejected_ = 0;
    std::vector<json> errors_;
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
    return import_file(context, arguments, {"control.catalog_import", "key", "products imported"});
}

int run_price_import(const Context& context, const Arguments& arguments) {
    return import_file(context, arguments,
                       {"control.price_import", "product_key", "prices imported"});
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
