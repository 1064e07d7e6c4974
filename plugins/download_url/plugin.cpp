// The ABI glue of download_url: C on the outside, Minter on the inside. No exception gets past this
// file.
#include "protocol/plugin_abi/plugin.h"

#include <map>
#include <memory>

#include "plugins/download_url/abi_text.hpp"
#include "plugins/download_url/minter.hpp"
#include "protocol/message/download_url.hpp"

#define EW_DOWNLOAD_URL_NAME "download_url"
#if !defined(EW_DOWNLOAD_URL_VERSION)
#define EW_DOWNLOAD_URL_VERSION "1.0.0"
#endif

EW_PLUGIN_NOTE(EW_DOWNLOAD_URL_NAME, EW_DOWNLOAD_URL_VERSION, 2);

namespace export_worker::download_url {
namespace {

void explain(ew_writer* writer, std::string_view text) {
    writer->set_error(writer, EW_ERROR_INTERNAL, abi_string(text), EW_EXECUTED_NO, abi_string({}));
}

template <typename Table>
const Table* extension(const ew_host* host, std::string_view name) {
    return static_cast<const Table*>(host->get_extension(host, abi_string(name)));
}

ew_status create(const ew_host* host, const ew_create_args* args, void** instance) noexcept try {
    Services services;
    services.host = host;
    services.log = extension<ew_ext_log>(host, EW_EXT_LOG);
    services.clock = extension<ew_ext_clock>(host, EW_EXT_CLOCK);
    services.authorize = extension<ew_ext_authorize>(host, EW_EXT_AUTHORIZE);
    services.jobs = extension<ew_ext_job_lookup>(host, EW_EXT_JOB_LOOKUP);
    services.credentials = extension<ew_ext_credentials_2>(host, EW_EXT_CREDENTIALS_2);
    services.metrics = extension<ew_ext_metrics>(host, EW_EXT_METRICS);
    services.audit = extension<ew_ext_audit>(host, EW_EXT_AUDIT);
    if (!services.log || !services.clock || !services.authorize || !services.jobs ||
        !services.credentials) {
        explain(args->error,
                "expected a host with log/1, clock/1, authorize/1, job_lookup/1 and credentials/2");
        return EW_FAILED;
    }
    std::map<std::string, std::string, std::less<>> config;
    for (std::uint64_t index = 0; index < args->config_count; ++index) {
        const ew_config_entry& entry = args->config[index];
        config.emplace(std::string(entry.key.data, entry.key.size),
                       std::string(entry.value.data, entry.value.size));
    }
    for (const auto& entry : config) {
        if (!entry.first.starts_with("store.")) {
            explain(args->error, "unknown key '" + entry.first +
                                     "' in [plugin.download_url]; it has only 'file'");
            return EW_FAILED;
        }
    }
    auto stores = read_stores(config);
    if (!stores) {
        explain(args->error, stores.error().message);
        return EW_FAILED;
    }
    *instance = new Minter(services, std::move(*stores));
    return EW_OK;
} catch (...) {
    return EW_FAILED;
}

ew_status describe(void*, ew_description* description) noexcept {
    const ew_method method{sizeof(ew_method), 1, abi_string(message::kDownloadUrlMethod),
                           abi_string("A fresh, short-lived signed URL for a completed export")};
    const ew_method explain{sizeof(ew_method), 1, abi_string(message::kExplainMethod),
                            abi_string("The same, and how the link came about; for operators")};
    const ew_status added = description->add_method(description, &method);
    return added == EW_OK ? description->add_method(description, &explain) : added;
}

ew_status self_test(void* instance, ew_writer* error) noexcept try {
    const auto passed = static_cast<Minter*>(instance)->self_test();
    if (passed) return EW_OK;
    explain(error, passed.error().message);
    return EW_FAILED;
} catch (...) {
    return EW_FAILED;
}

ew_status handle(void* instance, const ew_request* request, ew_writer* writer) noexcept try {
    static_cast<Minter*>(instance)->mint(*request, *writer);
    return EW_OK;
} catch (...) {
    return EW_FAILED;
}

void destroy(void* instance) noexcept {
    delete static_cast<Minter*>(instance);
}

constexpr ew_plugin kPlugin{sizeof(ew_plugin),
                            EW_ABI_MAJOR,
                            EW_ABI_MINOR,
                            0,
                            {EW_DOWNLOAD_URL_NAME, sizeof(EW_DOWNLOAD_URL_NAME) - 1},
                            {EW_DOWNLOAD_URL_VERSION, sizeof(EW_DOWNLOAD_URL_VERSION) - 1},
                            create,
                            describe,
                            self_test,
                            handle,
                            nullptr,
                            destroy};

}  // namespace
}  // namespace export_worker::download_url

extern "C" EW_EXPORT const ew_plugin* export_worker_plugin_v1(std::uint32_t) {
    return &export_worker::download_url::kPlugin;
}
