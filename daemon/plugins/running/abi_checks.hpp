// What the host checks of a call that a plugin makes: pointers, lengths, handles, and whether the
// calling thread may make it there. What breaks a rule is logged with the plugin, the function and
// the argument.
//
// A pointer to memory that is not the plugin's cannot be found out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/plugin_abi/host.h"

namespace export_worker::plugins {

struct PluginCall;
class HostServices;

// The function of a plugin that the host has called.
enum class PluginStep : std::uint8_t { kNone, kCreate, kDescribe, kSelfTest, kHandle, kEnd };

// Where in a plugin a thread is, and what it was given there.
struct PluginPlace {
    PluginStep step = PluginStep::kNone;
    const HostServices* host = nullptr;
    const ew_writer* writer = nullptr;
    const ew_description* description = nullptr;
    PluginCall* call = nullptr;  // In handle().
};

// This thread is inside a plugin while the object lives. [any-thread]
class PluginScope {
public:
    explicit PluginScope(const PluginPlace& place) noexcept;
    ~PluginScope();
    PluginScope(const PluginScope&) = delete;
    PluginScope& operator=(const PluginScope&) = delete;

private:
    const PluginPlace before_;
};

// Of the calling thread; a plugin's own thread is nowhere. [any-thread]
[[nodiscard]] const PluginPlace& plugin_place();

// Hosts that plugins may call. [any-thread]
void add_live_host(const HostServices& host);
void remove_live_host(const HostServices& host);

// Each returns whether its rule is kept. `function` is how authors know it: "log/1 write()".
// [any-thread]
[[nodiscard]] bool is_host(const char* function, const ew_host* host);
[[nodiscard]] bool is_pointer(const char* function, const char* argument, const void* pointer);
// A size above kReplyBytesMax is no text's.
[[nodiscard]] bool is_text(const char* function, const char* argument, const void* data,
                           std::uint64_t size);
[[nodiscard]] bool is_text(const char* function, const char* argument, ew_string text);
// The writer that this thread was given.
[[nodiscard]] bool is_writer(const char* function, const ew_writer* writer);

// Logs a broken rule, with the plugin that the calling thread is inside.
void log_misuse(const char* function, const std::string& what);

[[nodiscard]] inline std::string_view view_of(ew_string text) {
    return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}
[[nodiscard]] inline ew_string abi_string(std::string_view text) {
    return {text.data(), text.size()};
}

}  // namespace export_worker::plugins
