#include "daemon/plugins/running/generation.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/plugins/inspection/elf_file.hpp"
#include "daemon/plugins/running/abi_checks.hpp"
#include "daemon/plugins/running/abi_members.hpp"
#include "daemon/plugins/running/crash_record.hpp"
#include "daemon/plugins/running/fp_state.hpp"
#include "daemon/plugins/running/limits.hpp"
#include "protocol/message/limits.hpp"
#include "protocol/message/trace.hpp"
#include "protocol/message/validate.hpp"

namespace export_worker::plugins {
namespace {

// what() is the plugin's code: it may return nullptr.
std::string text_of(const std::exception& error) {
    const char* const text = error.what();
    return text == nullptr ? "without a text" : printable(text, limits::kPluginErrorBytesMax);
}

// Calls into the plugin. No exception may cross, but a C++ plugin can throw by mistake: its text is
// copied here, while the image that owns it is certainly mapped. nullopt: it threw, and `what` says
// so.
std::optional<ew_status> guarded(const std::function<ew_status()>& hook, std::string& what) {
    try {
        return hook();
    } catch (const std::exception& error) {
        what = "an exception: " + text_of(error);
    } catch (...) {
        what = "an exception that is no std::exception";
    }
    return std::nullopt;
}

// The build-id of the image the loader really mapped for `handle`.
std::string mapped_build_id(void* handle) {
    struct link_map* map = nullptr;
    if (::dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0) return {};
    struct Search {
        ElfW(Addr) base;
        std::string build_id;
    } search{map->l_addr, {}};
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
            auto& wanted = *static_cast<Search*>(data);
            if (info->dlpi_addr != wanted.base) return 0;
            for (ElfW(Half) index = 0; index < info->dlpi_phnum; ++index) {
                const auto& segment = info->dlpi_phdr[index];
                if (segment.p_type != PT_NOTE) continue;
                const auto* begin =  // The loader tells addresses as numbers.
                                     // NOLINTNEXTLINE(performance-no-int-to-ptr)
                    reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
                const std::string id = find_build_id({begin, segment.p_memsz});
                if (!id.empty()) wanted.build_id = id;
            }
            return 1;
        },
        &search);
    return search.build_id;
}

// A descriptor may be wrong in any way.
std::string text_or_null(ew_string text) {
    if (text.size > 0 && text.data == nullptr) return "NULL";
    return std::string(view_of(text).substr(0, limits::kPluginNameBytesMax));
}

std::string identity_of(const Manifest& manifest) {
    return manifest.name + " " + manifest.version + ", ABI " + std::to_string(manifest.abi_major) +
           "." + std::to_string(manifest.abi_minor);
}

struct MethodList : ew_description {
    std::vector<PluginMethod> methods;
    std::string problem;
};

// What the daemon answers itself.
constexpr std::array<std::string_view, 6> kOwnMethods{"sys.",  "exports.",   "templates.",
                                                      "jobs.", "downloads.", "control."};

bool is_own_method(std::string_view name) {
    return std::ranges::any_of(kOwnMethods,
                               [&](std::string_view prefix) { return name.starts_with(prefix); });
}

bool is_method_name(std::string_view name) {
    return name.size() <= limits::kMethodBytesMax && name.find('.') != std::string_view::npos &&
           name.find('.') > 0 && std::ranges::all_of(name, [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
           });
}

std::string wrong_method(const MethodList& list, const std::string& name) {
    const bool known = std::ranges::any_of(
        list.methods, [&](const PluginMethod& each) { return each.name == name; });
    if (known) return "the method '" + printable(name) + "' is named twice";
    if (list.methods.size() >= limits::kPluginMethodsMax)
        return "more than " + std::to_string(limits::kPluginMethodsMax) + " methods";
    if (is_own_method(name))
        return "the method '" + printable(name) + "' is one of the daemon's own";
    if (is_method_name(name)) return {};
    return "bad method name '" + printable(name) + "': expected at most " +
           std::to_string(limits::kMethodBytesMax) +
           " of a-z 0-9 _ . with a dot that is not the first character";
}

bool is_description(const char* function, const ew_description* description) {
    if (description != nullptr && description == plugin_place().description) return true;
    log_misuse(function, "description: expected the one of this describe(), found another one");
    return false;
}

ew_status add_method(ew_description* base, const ew_method* method) noexcept {
    constexpr const char* kFunction = "ew_description add_method()";
    if (!is_description(kFunction, base)) return EW_MISUSE;
    auto& list = *static_cast<MethodList*>(base);
    if (!is_pointer(kFunction, "method", method)) {
        list.problem = "add_method() without a method";
        return EW_MISUSE;
    }
    const ew_string abi_name = member_or(*method, &ew_method::name, {});
    const ew_string abi_summary = member_or(*method, &ew_method::summary, {});
    if (!is_text(kFunction, "name", abi_name) || !is_text(kFunction, "summary", abi_summary)) {
        list.problem = "add_method() without its text";
        return EW_MISUSE;
    }
    const std::string name(view_of(abi_name));
    if (const std::string wrong = wrong_method(list, name); !wrong.empty()) {
        list.problem = wrong;
        return EW_MISUSE;
    }
    list.methods.push_back({name, printable(view_of(abi_summary), 200), method->idempotent != 0});
    return EW_OK;
}

// What a descriptor of ABI 1.0 has; later members may be missing.
constexpr std::size_t kDescriptorBytesMin = offsetof(ew_plugin, destroy) + sizeof(void*);

// What a hook said through its writer, for a refusal.
std::string reason_of(const ResultWriter& writer, const std::string& threw, ew_status status) {
    if (!threw.empty()) return threw;
    if (writer.has_error && !writer.error.message.empty()) return writer.error.message;
    return "status " + std::to_string(status) + " without a reason";
}

// What a hook without a result wrote although it returned EW_OK; empty: nothing.
std::string wrong_in_ok(const ResultWriter& writer) {
    if (writer.misuse != nullptr) return writer.misuse;
    if (writer.has_error) return "EW_OK after set_error(): " + writer.error.message;
    return writer.result.empty() ? "" : "result bytes, which only handle() has";
}

// By its first byte: fixmap, map 16, map 32.
bool is_msgpack_map(std::string_view object) {
    const auto first = static_cast<unsigned char>(object.front());
    return (first & 0xf0U) == 0x80U || first == 0xdeU || first == 0xdfU;
}

}  // namespace

Generation::Generation(Setup& setup)
    : manifest_(std::move(setup.manifest)),
      sha256_(std::move(setup.sha256)),
      path_(std::move(setup.path)),
      crash_line_(encode_crash({manifest_.name, sha256_})),
      number_(setup.number),
      config_(std::move(setup.config)),
      reason_(setup.reason),
      on_fault_(std::move(setup.on_fault)),
      services_(manifest_.name, setup.deps),
      shadow_(setup.shadow_requests) {}

Generation::~Generation() {
    end_instance();
}

void Generation::end_instance() {
    if (!created_) return;
    created_ = false;
    std::string what;
    const PluginScope scope({.step = PluginStep::kEnd, .host = &services_});
    const auto result = guarded(
        [this] {
            if (plugin_->quiesce != nullptr) plugin_->quiesce(instance_);
            plugin_->destroy(instance_);
            return EW_OK;
        },
        what);
    services_.end();
    if (!result) log_error("plugin {}: destroy: {}", manifest_.name, what);
}

bool Generation::unmap() {
    EW_ASSERT(!created_);
    if (image_ != nullptr) ::dlclose(image_);
    image_ = nullptr;
    plugin_ = nullptr;
    return !is_mapped();
}

bool Generation::is_file_mapped(const std::string& path) {
    bool found = false;
    const auto look = [&](dl_phdr_info* info) { found = found || info->dlpi_name == path; };
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
            (*static_cast<decltype(look)*>(data))(info);
            return 0;
        },
        const_cast<void*>(static_cast<const void*>(&look)));
    return found;
}

Verdict<std::unique_ptr<Generation>> Generation::map(Setup setup) {
    std::unique_ptr<Generation> generation(new Generation(setup));
    EW_CHECK(generation->map_image());
    EW_CHECK(generation->check_descriptor());
    return generation;
}

Verdict<void> Generation::begin_instance() {
    EW_CHECK(create());
    EW_CHECK(describe());
    return self_test();
}

Verdict<std::unique_ptr<Generation>> Generation::load(Setup setup) {
    const bool unmap_if_refused = setup.unmap_if_refused;
    EW_TRY(std::unique_ptr<Generation> generation, map(std::move(setup)));
    auto begun = generation->begin_instance();
    if (begun) return generation;
    generation->end_instance();
    if (unmap_if_refused) generation->unmap();
    return refuse(std::move(begun.error()));
}

Verdict<void> Generation::map_image() {
    const FpState before;
    // NOW: a missing symbol shows here, not in the middle of a request. LOCAL: no other image sees
    // its symbols.
    image_ = ::dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL);
    const bool fp_kept = before.still_holds();
    before.restore();
    if (image_ == nullptr) {
        const char* why = ::dlerror();
        return refuse({"load_failed", "loading", "a shared object the dynamic loader accepts",
                       why == nullptr ? "no reason" : why,
                       "link with -Wl,-z,defs to see missing symbols at build time"});
    }
    if (!fp_kept) {
        return refuse({"load_failed", "loading", "a load that leaves the floating-point mode alone",
                       "a constructor that changed it",
                       "do not link with -Ofast or -ffast-math; they set flush-to-zero"});
    }
    const std::string mapped = mapped_build_id(image_);
    if (mapped != manifest_.build_id) {
        return refuse({"stale_image", "loading", "the image with build-id " + manifest_.build_id,
                       "the loader returned " + mapped,
                       "report this: a stale image was returned for a new file"});
    }
    return {};
}

Verdict<void> Generation::check_descriptor() {
    const auto entry = reinterpret_cast<ew_plugin_entry>(::dlsym(image_, EW_PLUGIN_ENTRY_NAME));
    if (entry == nullptr) {
        return refuse({"descriptor", "loading", "the exported function " EW_PLUGIN_ENTRY_NAME,
                       "none", "mark it EW_EXPORT and declare it extern \"C\""});
    }
    std::string threw;
    const auto called = guarded(
        [&] { return (plugin_ = entry(EW_ABI_MINOR)) == nullptr ? EW_FAILED : EW_OK; }, threw);
    if (!called || plugin_ == nullptr) {
        return refuse({"descriptor", "loading", "a descriptor",
                       threw.empty() ? "a null pointer: the plugin wants a newer host" : threw,
                       "upgrade the daemon, or build the plugin for this one"});
    }
    if (plugin_->struct_bytes < kDescriptorBytesMin) {
        return refuse({"descriptor", "loading",
                       "a descriptor of at least " + std::to_string(kDescriptorBytesMin) + " bytes",
                       std::to_string(plugin_->struct_bytes),
                       "set struct_bytes = sizeof(ew_plugin)"});
    }
    const Manifest described{text_or_null(plugin_->name),
                             text_or_null(plugin_->version),
                             plugin_->abi_major,
                             plugin_->abi_minor,
                             0,
                             {}};
    if (identity_of(described) != identity_of(manifest_)) {
        return refuse({"descriptor", "loading",
                       "a descriptor that agrees with the note (" + identity_of(manifest_) + ")",
                       printable(identity_of(described)), "use one macro for both"});
    }
    for (const auto& [present, name] : {std::pair{plugin_->create != nullptr, "create"},
                                        std::pair{plugin_->describe != nullptr, "describe"},
                                        std::pair{plugin_->handle != nullptr, "handle"},
                                        std::pair{plugin_->destroy != nullptr, "destroy"}}) {
        if (present) continue;
        return refuse({"descriptor", "loading", "create, describe, handle and destroy",
                       std::string("a null pointer for ") + name, "implement all four"});
    }
    return {};
}

Verdict<void> Generation::create() {
    std::vector<ew_config_entry> entries;
    for (const auto& [key, value] : config_)
        entries.push_back({abi_string(key), abi_string(value)});
    ResultWriter error;
    const ew_create_args args{sizeof(ew_create_args), reason_, entries.data(), entries.size(),
                              &error};
    std::string threw;
    const PluginScope scope({PluginStep::kCreate, &services_, &error});
    const auto status =
        guarded([&] { return plugin_->create(&services_, &args, &instance_); }, threw);
    if (status != EW_OK) {
        return refuse({"create_failed", "creating", "create() to succeed",
                       reason_of(error, threw, status.value_or(EW_FAILED)),
                       "correct the configuration of the plugin or its stores"});
    }
    created_ = true;  // There is an instance, which must be ended.
    if (const std::string wrong = wrong_in_ok(error); !wrong.empty()) {
        return refuse({"create_failed", "creating", "nothing in args->error when create() is EW_OK",
                       wrong, "return EW_FAILED after set_error()"});
    }
    return {};
}

Verdict<void> Generation::describe() {
    MethodList list{{sizeof(ew_description), 0, add_method}, {}, {}};
    std::string threw;
    const PluginScope scope(
        {.step = PluginStep::kDescribe, .host = &services_, .description = &list});
    const auto status = guarded([&] { return plugin_->describe(instance_, &list); }, threw);
    if (status != EW_OK || !list.problem.empty() || list.methods.empty()) {
        const std::string found = !threw.empty()          ? threw
                                  : !list.problem.empty() ? list.problem
                                  : status != EW_OK       ? "status " + std::to_string(*status)
                                                          : "no method";
        return refuse({"describe_failed", "creating",
                       "describe() to name at least one method and to return EW_OK", found,
                       "see docs/plugin_abi.md"});
    }
    methods_ = std::move(list.methods);
    return {};
}

Verdict<void> Generation::self_test() {
    if (plugin_->self_test == nullptr) return {};
    ResultWriter error;
    std::string threw;
    const PluginScope scope({PluginStep::kSelfTest, &services_, &error});
    const auto status = guarded([&] { return plugin_->self_test(instance_, &error); }, threw);
    if (status != EW_OK) {
        return refuse({"self_test_failed", "self_test", "self_test() to pass",
                       reason_of(error, threw, status.value_or(EW_FAILED)),
                       "repair what it names, then load it again"});
    }
    if (const std::string wrong = wrong_in_ok(error); !wrong.empty()) {
        return refuse({"self_test_failed", "self_test",
                       "nothing in the writer when self_test() is EW_OK", wrong,
                       "return EW_FAILED after set_error()"});
    }
    return {};
}

SteadyTime Generation::handle(const message::Request& request, SteadyTime started,
                              std::int64_t deadline_steady_ns, std::size_t thread_number,
                              PluginCall& call) {
    run(request, deadline_steady_ns, call);
    const bool failed =
        call.writer.has_error && (call.writer.error.code == message::WireCode::kPluginFault ||
                                  call.writer.error.code == message::WireCode::kInternal);
    const SteadyTime ended = services_.deps.clock->steady();
    if (call.is_copy) return ended;
    traffic_.count(thread_number, ended - started, failed);
    if (failed && on_fault_) on_fault_();
    return ended;
}

void Generation::run(const message::Request& request, std::int64_t deadline_steady_ns,
                     PluginCall& call) {
    const ew_request abi_request{sizeof(ew_request),         0,
                                 abi_string(request.id),     abi_string(request.method),
                                 abi_string(request.params), abi_string(request.trace),
                                 deadline_steady_ns,         &call};
    const LogScope scope(request.id, message::trace_id_of(request.trace));
    ResultWriter& writer = call.writer;
    ew_status status = EW_FAILED;
    const InPlugin in_plugin(crash_line_);
    const PluginScope place({PluginStep::kHandle, &services_, &writer, nullptr, &call});
    try {
        status = plugin_->handle(instance_, &abi_request, &writer);
    } catch (const std::exception& error) {
        return fault(call, "handle() threw: " + text_of(error));
    } catch (...) {
        return fault(call, "handle() threw something that is no std::exception");
    }
    if (status != EW_OK) return fault(call, "handle() returned status " + std::to_string(status));
    if (writer.misuse != nullptr) return fault(call, writer.misuse);
    if (writer.has_error) {
        if (!writer.result.empty()) fault(call, "both a result and an error");
        return;
    }
    if (writer.result.empty()) return fault(call, "neither a result nor an error");
    if (!is_msgpack_map(writer.result))
        return fault(call, "result: expected a msgpack map, found another type");
    if (auto valid = message::validate_object(writer.result); !valid)
        return fault(call, valid.error().message);
}

void Generation::fault(PluginCall& call, std::string_view what) {
    faults_.fetch_add(1, std::memory_order_relaxed);
    const std::string from = "plugin " + manifest_.name + " " + manifest_.version + " generation " +
                             std::to_string(number_) + ": " + std::string(what);
    log_event(LogLevel::kError, from, {});
    call.writer.reset();
    call.writer.has_error = true;
    // The details stay in our log: they may quote what the plugin was working on.
    call.writer.error = message::make_error(message::WireCode::kPluginFault,
                                            "the plugin failed to handle this request");
}

}  // namespace export_worker::plugins
