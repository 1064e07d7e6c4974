#include "exportctl/man_page.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "exportctl/command.hpp"
#include "exportctl/help.hpp"

namespace export_worker::exportctl {
namespace {

constexpr std::string_view kSeeAlso =
    ".SH SEE ALSO\n.BR exportctl (1),\n.BR export-worker.ini (5),\n.BR export-workerd (8),\n"
    ".BR export-httpd (8)\n";

// Text as it is: no request, no escape, and dashes that can be copied.
std::string roff(std::string_view text) {
    std::string out;
    for (const char byte : text) {
        if (byte == '\\') {
            out += "\\e";
        } else if (byte == '-') {
            out += "\\-";
        } else if (byte == '\'') {
            out += "\\(aq";
        } else {
            out += byte;
        }
    }
    return out.starts_with('.') ? "\\&" + out : out;
}

std::string heading(std::string_view page, char section, std::string_view version) {
    return ".TH \"" + roff(page) + "\" " + section + " \"\" \"export\\-worker " + roff(version) +
           "\"\n";
}

std::string entry(std::string_view bold, std::string_view text) {
    return ".TP\n\\fB" + roff(bold) + "\\fR\n" + (text.empty() ? "\\&" : roff(text)) + "\n";
}

std::string examples(std::string_view lines) {
    std::string out = ".nf\n";
    for (const std::string_view line : split(lines, '\n')) out += "exportctl " + roff(line) + "\n";
    return out + ".fi\n";
}

std::string section_of(const Command& command) {
    std::string out = ".SS \"" + roff(command.words) + "\"\n.B " + roff(synopsis_of(command)) +
                      "\n.PP\n" + roff(command.help) + "\n";
    for (const OwnFlag& each : flags_of(command))
        out +=
            entry(name_of(*each.flag), (each.required ? "Required: " : "") + describe(*each.flag));
    return out + ".PP\n" + examples(command.examples);
}

// The lines of a text.
std::vector<std::string_view> lines_of(std::string_view text) {
    std::vector<std::string_view> out;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        out.push_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

// "key = value" behind an optional "# ": a key of the sample, or empty.
std::string_view key_line(std::string_view line) {
    if (line.starts_with("# ")) line.remove_prefix(2);
    const std::size_t equals = line.find(" = ");
    const bool is_key = equals != std::string_view::npos &&
                        line.substr(0, equals).find_first_not_of(
                            "abcdefghijklmnopqrstuvwxyz_0123456789") == std::string_view::npos;
    return is_key ? line : std::string_view();
}

std::string_view section_line(std::string_view line) {
    if (line.starts_with("# ")) line.remove_prefix(2);
    return line.starts_with('[') && line.ends_with(']') ? line : std::string_view();
}

}  // namespace

std::string command_page(std::string_view version) {
    std::string out =
        heading("EXPORTCTL", '1', version) +
        ".SH NAME\nexportctl \\- operate export\\-workerd\n"
        ".SH SYNOPSIS\n.B exportctl\n[\\-\\-config FILE] [\\-\\-json] VERB ...\n"
        ".SH DESCRIPTION\nTalks to a running daemon over its control socket, which the "
        "configuration names. The verbs sign, curve, catalog generate, plugin check, "
        "and plugin quarantine with \\-\\-offline need no daemon.\n"
        ".SH OPTIONS\nFlags of every verb:\n";
    for (const std::string_view name : global_flags())
        out += entry(name_of(flag_named(name)), describe(flag_named(name)));
    out += ".SH VERBS\n";
    for (const Command& command : commands()) out += section_of(command);
    out += ".SH ENVIRONMENT\n" +
           entry(kConfigVariable, "The configuration where --config names none.") +
           entry("NO_COLOR", "Set to anything: no colors on a terminal.") + ".SH EXIT STATUS\n";
    for (const ExitStatus& status : exit_statuses())
        out += entry(std::to_string(status.code), status.meaning);
    out += ".PP\nWith \\-\\-json an error is one line on standard error:\n.PP\n.nf\n" +
           roff(R"({"error": {"code": "usage", "message": "...", "status": 64}})") + "\n.fi\n";
    return out + ".SH FILES\n" + entry(kConfigDefault, "The default configuration.") +
           std::string(kSeeAlso);
}

std::string daemon_page(std::string_view program, std::string_view version, std::string_view help) {
    std::string out = heading(program, '8', version) + ".SH NAME\n" + roff(program) + " \\- " +
                      (program == "export-workerd" ? "run export jobs and mint download links"
                                                   : "HTTP API in front of export\\-workerd") +
                      "\n";
    for (const std::string_view line : lines_of(help)) {
        constexpr std::string_view kUsage = "Usage: ";
        if (line.starts_with(kUsage)) {
            out += ".SH SYNOPSIS\n.B " + roff(line.substr(kUsage.size())) + "\n.SH OPTIONS\n";
        } else if (line.starts_with("  --")) {
            const std::string_view flag = line.substr(2);
            const std::size_t gap = flag.find("  ");
            const std::size_t text = flag.find_first_not_of(' ', gap);
            if (text != std::string_view::npos)
                out += entry(flag.substr(0, gap), flag.substr(text));
        }
    }
    return out + ".SH SIGNALS\n" + entry("SIGTERM, SIGINT", "Finish what is in flight, then end.") +
           entry("SIGHUP", "Read the configuration again.") + std::string(kSeeAlso);
}

std::string configuration_page(std::string_view version, std::string_view sample) {
    std::string out = heading("EXPORT-WORKER.INI", '5', version) +
                      ".SH NAME\nexport\\-worker.ini \\- configuration of export\\-workerd, "
                      "export\\-httpd and exportctl\n.SH DESCRIPTION\n";
    std::string comment;
    const auto take_comment = [&](std::string_view before) {
        if (!comment.empty()) out += std::string(before) + roff(comment) + "\n";
        comment.clear();
    };
    for (const std::string_view line : lines_of(sample)) {
        if (const auto section = section_line(line); !section.empty()) {
            out += ".SH \"" + roff(section) + "\"\n";
            take_comment("");
        } else if (const auto key = key_line(line); !key.empty()) {
            // "key = value   # remark"
            const std::size_t gap = std::min(key.find("  "), key.size());
            const std::size_t remark = std::min(key.find_first_not_of(" #", gap), key.size());
            comment += std::string(key.substr(remark));
            out += entry(key.substr(0, gap), comment);
            comment.clear();
        } else if (line.empty()) {
            take_comment(".PP\n");
        } else {
            comment += std::string(line.substr(line.starts_with("# ") ? 2 : 0)) + " ";
        }
    }
    return out + std::string(kSeeAlso);
}

Result<std::string> man_page(std::string_view page, std::string_view version,
                             std::string_view input) {
    if (page == "exportctl.1") return command_page(version);
    if (page == "export-worker.ini.5") return configuration_page(version, input);
    if (page == "export-workerd.8" || page == "export-httpd.8")
        return daemon_page(page.substr(0, page.size() - 2), version, input);
    return fail(ErrorCode::kNotFound, "no page '" + std::string(page) +
                                          "'; expected exportctl.1, export-workerd.8, "
                                          "export-httpd.8 or export-worker.ini.5");
}

}  // namespace export_worker::exportctl
