// The whole decision from "a caller wants job J's file" to a signed URL, in the order it is made.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "plugins/download_url/store_signer.hpp"
#include "protocol/message/download_url.hpp"
#include "protocol/plugin_abi/extensions.h"
#include "signing/store.hpp"

namespace export_worker::download_url {

// The host services the plugin uses. Valid as long as the host.
struct Services {
    const ew_host* host = nullptr;
    const ew_ext_log* log = nullptr;
    const ew_ext_clock* clock = nullptr;
    const ew_ext_authorize* authorize = nullptr;
    const ew_ext_job_lookup* jobs = nullptr;
    const ew_ext_credentials_2* credentials = nullptr;
    const ew_ext_metrics* metrics = nullptr;
    const ew_ext_audit* audit = nullptr;  // Older hosts have none.
};

// [any-thread]
class Minter {
public:
    Minter(const Services& services, std::vector<signing::Store> stores);

    // Exactly one outcome in `writer`. Both methods: the explained one needs another permission.
    void mint(const ew_request& request, ew_writer& writer);
    // Every store whose credentials are there can sign: signs one made-up key per store. Errors:
    // kFailedPrecondition, naming the store.
    [[nodiscard]] Result<void> self_test();

private:
    // What a caller may have a link to.
    struct Job {
        std::string_view file_url;
        std::string_view filename;
        std::string_view organization_id;
        std::string_view content_type;
        std::string_view sha256;
    };
    struct Minted {
        signing::StoreLocation location;
        signing::LinkTimes times;
        std::string filename;
        std::string_view content_type;
        std::string_view sha256;
        signing::StoreLink link;
        std::int64_t expires_in_s = 0;
        std::int64_t credentials_end_unix_s = 0;  // 0: none.
    };
    // Why there is no link.
    struct Refusal {
        std::uint32_t code = 0;  // EW_ERROR_...
        std::string message;
    };
    using Decided = tl::expected<Minted, Refusal>;

    // false: the refusal is in `writer`.
    [[nodiscard]] bool find_job(const ew_request& request, std::string_view permission,
                                std::string_view job_id, ew_writer& writer, Job& job) const;
    [[nodiscard]] Decided decide(const ew_request& request, const Job& job);
    // Of a local store: kGone is for ever, so a store that is away is told apart.
    [[nodiscard]] tl::expected<void, Refusal> check_file(
        const signing::StoreLocation& location) const;
    [[nodiscard]] tl::expected<void, Refusal> sign(const ew_request* request, Minted& minted);
    void count(std::int32_t counter) const;

    const Services services_;
    const std::vector<signing::Store> stores_;
    std::deque<StoreSigner> signers_;  // One per store, same order.
    std::int32_t minted_ = -1;
    std::int32_t refused_ = -1;
};

// From the entries "store.NAME.key" of the configuration. Errors: kInvalidArgument, naming the
// store.
[[nodiscard]] Result<std::vector<signing::Store>> read_stores(
    const std::map<std::string, std::string, std::less<>>& config);

}  // namespace export_worker::download_url
