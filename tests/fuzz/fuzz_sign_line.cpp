// Lines of `exportctl sign`: whatever they hold, the answer is a URL that can be sent, or an error.
#include <cstdlib>
#include <iterator>
#include <string>

#include "base/json.hpp"
#include "exportctl/sign.hpp"
#include "tests/unit/support/test_keys.hpp"

using namespace export_worker;
using nlohmann::json;

namespace {

// Good requests, of which the input replaces one field at a time.
const json kRequests = {{{"provider", "s3"},
                         {"method", "GET"},
                         {"bucket", "bucket"},
                         {"key", "k"},
                         {"region", "r"},
                         {"endpoint", "https://h"},
                         {"addressing", "path"},
                         {"access_key_id", "A"},
                         {"secret_access_key", "S"},
                         {"session_token", "T"},
                         {"at", "2026-01-01T00:00:00Z"},
                         {"expires_in", 9},
                         {"query", {{"versionId", "1"}}}},
                        {{"provider", "azure"},
                         {"account", "a"},
                         {"account_key", "a2V5"},
                         {"endpoint", "https://h"},
                         {"container", "c"},
                         {"blob", "b"},
                         {"version", "2022-11-02"},
                         {"resource", "b"},
                         {"permissions", "r"},
                         {"expiry", "2026-01-01T00:00:00Z"},
                         {"ip", "1.2.3.4"},
                         {"identifier", ""},
                         {"encryption_scope", "s"},
                         {"overrides", {{"content_type", "t"}}}},
                        {{"provider", "cloudfront"},
                         {"url", "https://h/p"},
                         {"policy", "custom"},
                         {"resource", "https://h/*"},
                         {"expires_at", 1800000000},
                         {"starts_at", 1},
                         {"ip", "1.2.3.4"},
                         {"key_pair_id", "K"},
                         {"private_key_pem", testing::kEcKey},
                         {"hash", "SHA256"}},
                        {{"provider", "local"},
                         {"base_url", "http://h"},
                         {"path", "p"},
                         {"key_id", "k"},
                         {"key_hex", "00112233445566778899aabbccddeeff"},
                         {"at", "2026-01-01T00:00:00Z"},
                         {"expires_in", 5},
                         {"filename", "f"}}};

void check(const json& answer) {
    if (answer.contains("error")) {
        if (answer["error"]["message"].get<std::string>().empty()) std::abort();
        return;
    }
    for (const char c : answer.at("url").get<std::string>()) {
        if (c <= 0x20 || c >= 0x7f || c == '"') std::abort();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size < 2) return 0;
    // The first two bytes pick the request and the field.
    const std::string text(reinterpret_cast<const char*>(data + 2), size - 2);
    check(exportctl::sign_line(text, true));
    json changed = kRequests[data[0] % kRequests.size()];
    auto field = changed.begin();
    std::advance(field, data[1] % changed.size());
    *field = parse_json(dump_json(text));
    check(exportctl::sign_line(dump_json(changed), true));
    return 0;
}
