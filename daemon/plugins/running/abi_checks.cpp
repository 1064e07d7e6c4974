#include "daemon/plugins/running/abi_checks.hpp"

#include <mutex>
#include <set>

#include "base/log.hpp"
#include "base/shared_limits.hpp"
#include "daemon/plugins/running/host_services.hpp"

namespace export_worker::plugins {
namespace {

// Trivial, so that a thread needs no lock of the dynamic loader to have it.
constinit thread_local PluginPlace place_of_this_thread{};

struct LiveHosts {
    std::mutex mutex;
    std::set<const ew_host*> hosts;  // Guarded by mutex.
};

// Never destroyed: plugins' threads may outlive every static.
LiveHosts& live_hosts() {
    static auto& hosts = *new LiveHosts;
    return hosts;
}

bool is_live(const ew_host* host) {
    LiveHosts& live = live_hosts();
    const std::lock_guard lock(live.mutex);
    return live.hosts.contains(host);
}

}  // namespace

PluginScope::PluginScope(const PluginPlace& place) noexcept : before_(place_of_this_thread) {
    place_of_this_thread = place;
}

PluginScope::~PluginScope() {
    place_of_this_thread = before_;
}

const PluginPlace& plugin_place() {
    return place_of_this_thread;
}

void add_live_host(const HostServices& host) {
    LiveHosts& live = live_hosts();
    const std::lock_guard lock(live.mutex);
    live.hosts.insert(&host);
}

void remove_live_host(const HostServices& host) {
    LiveHosts& live = live_hosts();
    const std::lock_guard lock(live.mutex);
    live.hosts.erase(&host);
}

void log_misuse(const char* function, const std::string& what) {
    const HostServices* const host = place_of_this_thread.host;
    log_error("plugin {}: {}: {}", host == nullptr ? "(a thread of its own)" : host->plugin_name,
              function, what);
}

bool is_host(const char* function, const ew_host* host) {
    // Without a lock where it matters: in handle().
    if (host != nullptr && host == place_of_this_thread.host) return true;
    if (host != nullptr && is_live(host)) return true;
    log_misuse(function,
               host == nullptr
                   ? "host: expected the one create() was given, found NULL"
                   : "host: expected the one create() was given, found another one, or one whose "
                     "plugin has ended; make no call after destroy()");
    return false;
}

bool is_pointer(const char* function, const char* argument, const void* pointer) {
    if (pointer != nullptr) return true;
    log_misuse(function, std::string(argument) + ": expected a pointer, found NULL");
    return false;
}

bool is_text(const char* function, const char* argument, const void* data, std::uint64_t size) {
    if (size > limits::kReplyBytesMax) {
        log_misuse(function, std::string(argument) + ": expected at most " +
                                 std::to_string(limits::kReplyBytesMax) + " bytes, found " +
                                 std::to_string(size));
        return false;
    }
    if (size == 0 || data != nullptr) return true;
    log_misuse(function, std::string(argument) + ": expected a pointer to " + std::to_string(size) +
                             " bytes, found NULL");
    return false;
}

bool is_text(const char* function, const char* argument, ew_string text) {
    return is_text(function, argument, text.data, text.size);
}

bool is_writer(const char* function, const ew_writer* writer) {
    if (writer != nullptr && writer == place_of_this_thread.writer) return true;
    log_misuse(function, writer == nullptr
                             ? "writer: expected the one this call was given, found NULL"
                             : "writer: expected the one this call was given, found another one; "
                               "use it on the thread of the call, before the call returns");
    return false;
}

}  // namespace export_worker::plugins
