// The check of stores: credentials, and the way there.
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <map>
#include <memory>
#include <string_view>

#include "base/json.hpp"
#include "base/unique_fd.hpp"
#include "exportctl/doctor.hpp"
#include "exportctl/limits.hpp"
#include "exportctl/output.hpp"
#include "signing/endpoint.hpp"
#include "signing/store.hpp"

namespace export_worker::exportctl {
namespace {

using nlohmann::json;
constexpr const char* kReadAgain =
    "links lead where the programs do not agree; restart both, once the files are where the file "
    "says: systemctl restart export-workerd export-httpd";

using AddressInfo = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

struct HostAndPort {
    std::string host;
    std::string port;
};

HostAndPort split(const signing::Endpoint& endpoint) {
    const std::string& text = endpoint.host;
    const std::size_t bracket = text.rfind(']');
    const std::size_t colon = text.find(':', bracket == std::string::npos ? 0 : bracket);
    HostAndPort out{text.substr(0, colon), endpoint.scheme == "http://" ? "80" : "443"};
    if (colon != std::string::npos) out.port = text.substr(colon + 1);
    if (out.host.starts_with('[')) out.host = out.host.substr(1, out.host.size() - 2);
    return out;
}

Result<void> connect_to(const addrinfo& address, const std::string& where) {
    const UniqueFd fd(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (::connect(fd.get(), address.ai_addr, address.ai_addrlen) == 0) return {};
    if (errno != EINPROGRESS) return fail(errno_error("connect to " + where, errno));
    pollfd ready{fd.get(), POLLOUT, 0};
    constexpr auto kTimeout = std::chrono::milliseconds(limits::kDoctorAskTimeout);
    if (::poll(&ready, 1, static_cast<int>(kTimeout.count())) != 1)
        return fail(ErrorCode::kDeadlineExceeded, "connect to " + where + ": no answer in time");
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
    return error == 0 ? Result<void>() : fail(errno_error("connect to " + where, error));
}

// Any of its addresses. Blocks for the name server.
Result<void> reach(const HostAndPort& target) {
    const std::string where = target.host + ":" + target.port;
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    const int status = ::getaddrinfo(target.host.c_str(), target.port.c_str(), &hints, &found);
    if (status != 0)
        return fail(ErrorCode::kUnavailable,
                    "look up " + target.host + ": " + ::gai_strerror(status));
    const AddressInfo owned(found, &::freeaddrinfo);
    Result<void> last = fail(ErrorCode::kUnavailable, "look up " + target.host + ": no address");
    for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
        last = connect_to(*each, where);
        if (last) break;
    }
    return last;
}

CheckResult judge_credentials(const json& store) {
    const std::string name = cell(store["name"]);
    const std::string error = store["error"].is_null() ? "" : cell(store["error"]);
    const std::string source = cell(store["credentials"]);
    if (store["usable"] != true)
        return {"store", name, Health::kBad, "links cannot be signed: " + error,
                "look at credentials = " + source + " of [store." + name + "]"};
    if (!error.empty())
        return {"store", name, Health::kWarn, "credentials cannot be renewed: " + error,
                "look at credentials = " + source + " of [store." + name + "]"};
    return {"store", name, Health::kOk, "credentials (" + source + ") are usable"};
}

// Where the daemon itself goes; CloudFront: where links lead.
Result<HostAndPort> target_of(const std::string& name,
                              const std::map<std::string, std::string>& values) {
    EW_TRY(const signing::Store store, signing::parse_store(name, values));
    if (store.kind != signing::StoreKind::kCloudFront) return split(store.endpoint);
    EW_TRY(const signing::Endpoint endpoint, signing::parse_endpoint(store.base_url));
    return split(endpoint);
}

CheckResult judge_way(const std::string& section, const Installation& installation) {
    const std::string name = section.substr(std::string_view("store.").size());
    const auto target = target_of(name, installation.values.at(section));
    if (!target) return {"store", name, Health::kBad, target.error().message};
    const auto reached = reach(*target);
    if (reached)
        return {"store", name, Health::kOk, target->host + ":" + target->port + " is reachable"};
    return {"store", name, Health::kBad, reached.error().message,
            "look at the network, name servers and the store's endpoint"};
}

// As the programs read it.
std::string without_slashes(std::string path) {
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path;
}

std::string place_in_file(const Installation& installation, const std::string& section) {
    for (const char* key : {"root", "prefix", "base_url"}) {
        std::string place = installation.value(section, key);
        if (!place.empty()) return key == std::string_view("root") ? without_slashes(place) : place;
    }
    return {};
}

// A daemon that has not read the file again looks for files elsewhere than the shim serves them.
void compare_with_daemon(const Installation& installation, const json& status, CheckResults& out) {
    std::map<std::string, std::string> in_file;
    for (const std::string& section : installation.stores())
        in_file[section.substr(std::string_view("store.").size())] =
            place_in_file(installation, section);
    for (const json& store : status["stores"]) {
        if (!store.contains("place")) return;  // A daemon of an older version.
        const std::string name = cell(store["name"]);
        const auto found = in_file.find(name);
        const bool is_gone = found == in_file.end();
        if (is_gone || found->second != cell(store["place"]))
            out.push_back({"store", name, Health::kBad,
                           "the daemon runs with " + cell(store["place"]) + ", the file has " +
                               (is_gone ? "no such store" : found->second),
                           kReadAgain});
        if (!is_gone) in_file.erase(found);
    }
    for (const auto& [name, place] : in_file)
        out.push_back({"store", name, Health::kBad,
                       "the daemon does not know it, the file has " + place, kReadAgain});
}

}  // namespace

CheckResult judge_served_root(const Patient& patient, const std::string& store,
                              const std::string& root) {
    const std::string section = "store." + store;
    const std::string in_file = patient.installation.value(section, "kind") == "local"
                                    ? place_in_file(patient.installation, section)
                                    : std::string();
    if (in_file == root) return {"store", store, Health::kOk, "export-httpd serves " + root};
    return {"store", store, Health::kBad,
            "export-httpd serves " + root + ", the file has " +
                (in_file.empty() ? "no such local store" : in_file) +
                ": its links are answered 410 or 503",
            kReadAgain};
}

CheckResults check_stores(const Patient& patient) {
    CheckResults out;
    if (patient.status) {
        for (const json& store : (*patient.status)["stores"])
            out.push_back(judge_credentials(store));
        compare_with_daemon(patient.installation, *patient.status, out);
    }
    for (const std::string& section : patient.installation.stores()) {
        if (patient.installation.value(section, "kind") != "local")
            out.push_back(judge_way(section, patient.installation));
    }
    return out;
}

}  // namespace export_worker::exportctl
