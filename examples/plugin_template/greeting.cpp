// A plugin to start from: one method, "greeting.hello", that asks who is calling and greets their
// organization in the words of its configuration.
//
//   [plugin.greeting]
//   file = /usr/lib/export-worker/plugins/greeting.so
//   word = Servus
#include <protocol/plugin_abi/plugin.h>

#include <memory>
#include <string>
#include <string_view>

#define GREETING_NAME "greeting"
#define GREETING_VERSION "1.0.0"

// Read by the daemon from the file, before any of this code may run.
EW_PLUGIN_NOTE(GREETING_NAME, GREETING_VERSION, 0);

namespace {

ew_string abi_string(std::string_view text) {
    return {text.data(), text.size()};
}
std::string_view view_of(ew_string text) {
    return text.size == 0 ? std::string_view() : std::string_view(text.data, text.size);
}

struct Greeting {
    const ew_host* host = nullptr;
    const ew_ext_authorize* authorize = nullptr;
    const ew_ext_metrics* metrics = nullptr;
    std::string word = "Hello";
    std::int32_t greeted = -1;
};

// Called once per generation, on the loader thread. What goes wrong here, an operator reads.
ew_status create(const ew_host* host, const ew_create_args* args, void** instance) noexcept try {
    auto made = std::make_unique<Greeting>();
    made->host = host;
    made->authorize = static_cast<const ew_ext_authorize*>(
        host->get_extension(host, abi_string(EW_EXT_AUTHORIZE)));
    made->metrics =
        static_cast<const ew_ext_metrics*>(host->get_extension(host, abi_string(EW_EXT_METRICS)));
    if (made->authorize == nullptr) {
        args->error->set_error(args->error, EW_ERROR_INTERNAL,
                               abi_string("expected a host with authorize/1"), EW_EXECUTED_NO,
                               abi_string({}));
        return EW_FAILED;
    }
    for (std::uint64_t index = 0; index < args->config_count; ++index) {
        const std::string_view key = view_of(args->config[index].key);
        if (key == "word") {
            made->word = view_of(args->config[index].value);
        } else if (!key.starts_with("store.")) {  // Every plugin is told of the stores.
            const std::string why =
                "unknown key '" + std::string(key) + "'; [plugin.greeting] has file and word";
            args->error->set_error(args->error, EW_ERROR_INTERNAL, abi_string(why), EW_EXECUTED_NO,
                                   abi_string({}));
            return EW_FAILED;
        }
    }
    if (made->metrics != nullptr) {
        made->greeted = made->metrics->register_counter(host, abi_string("greeted"),
                                                        abi_string("Callers greeted"));
    }
    *instance = made.release();
    return EW_OK;
} catch (...) {
    return EW_FAILED;
}

ew_status describe(void*, ew_description* description) noexcept {
    const ew_method method{sizeof(ew_method), 1, abi_string("greeting.hello"),
                           abi_string("Greets the caller's organization")};
    return description->add_method(description, &method);
}

ew_status self_test(void* instance, ew_writer* error) noexcept {
    if (!static_cast<Greeting*>(instance)->word.empty()) return EW_OK;
    error->set_error(error, EW_ERROR_INTERNAL, abi_string("[plugin.greeting] word: empty"),
                     EW_EXECUTED_NO, abi_string({}));
    return EW_FAILED;
}

// Called by several threads at once. Exactly one outcome: one msgpack object, or one set_error().
ew_status handle(void* instance, const ew_request* request, ew_writer* writer) noexcept try {
    const auto& greeting = *static_cast<const Greeting*>(instance);
    ew_principal caller{};
    caller.struct_bytes = sizeof caller;
    if (greeting.authorize->require(greeting.host, request, abi_string("job:read"), writer,
                                    &caller) != EW_OK)
        return EW_OK;  // The refusal has been written.
    const std::string text =
        greeting.word + ", " + std::string(view_of(caller.organization_id)) + "!";
    // {"greeting": text} in msgpack: a map of one, a short text, a text of up to 64 KiB.
    std::string out = "\x81\xa8greeting\xda";
    out += static_cast<char>(text.size() >> 8U);
    out += static_cast<char>(text.size() & 0xffU);
    out += text;
    if (writer->append(writer, out.data(), out.size()) == EW_OK && greeting.metrics != nullptr)
        greeting.metrics->add(greeting.host, greeting.greeted, 1);
    return EW_OK;
} catch (...) {
    return EW_FAILED;
}

void destroy(void* instance) noexcept {
    delete static_cast<Greeting*>(instance);
}

constexpr ew_plugin kPlugin{sizeof(ew_plugin),
                            EW_ABI_MAJOR,
                            EW_ABI_MINOR,
                            0,
                            {GREETING_NAME, sizeof(GREETING_NAME) - 1},
                            {GREETING_VERSION, sizeof(GREETING_VERSION) - 1},
                            create,
                            describe,
                            self_test,
                            handle,
                            nullptr,  // quiesce: there are no threads or timers to stop.
                            destroy};

}  // namespace

extern "C" EW_EXPORT const ew_plugin* export_worker_plugin_v1(std::uint32_t) {
    return &kPlugin;
}
