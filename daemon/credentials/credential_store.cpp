#include "daemon/credentials/credential_store.hpp"

#include <cstdlib>

#include "base/crypto/compare.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "signing/local_link.hpp"

namespace export_worker::credentials {
namespace {

// A secret in a file of its own, less the line end an editor leaves.
Result<std::string> read_secret(const std::string& path) {
    EW_TRY(std::string text, read_secret_file(path, limits::kSecretFileBytesMax));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
        text.pop_back();
    if (text.empty() || has_control_characters(text)) {
        return fail(ErrorCode::kInvalidArgument, path + ": expected one line with the secret");
    }
    return text;
}

Result<Credentials> read_local(const model::StoreSettings& store) {
    EW_TRY(const std::string text, read_secret_file(store.key_file, limits::kSecretFileBytesMax));
    auto keys = signing::parse_local_link_keys(text);
    if (!keys) return fail(keys.error().code, store.key_file + ": " + keys.error().message);
    Credentials out;
    out.key_id = keys->front().id;
    out.secret = keys->front().secret;
    return out;
}

Result<Credentials> read_s3_environment() {
    const auto get = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string(value == nullptr ? "" : value);
    };
    Credentials out;
    out.key_id = get("AWS_ACCESS_KEY_ID");
    out.secret = get("AWS_SECRET_ACCESS_KEY");
    out.session_token = get("AWS_SESSION_TOKEN");
    if (out.key_id.empty() || out.secret.empty()) {
        return fail(ErrorCode::kInvalidArgument,
                    "credentials = environment: expected AWS_ACCESS_KEY_ID and "
                    "AWS_SECRET_ACCESS_KEY to be set");
    }
    return out;
}

Result<Credentials> read_s3(const model::StoreSettings& store) {
    if (store.credentials_source == "environment") return read_s3_environment();
    Credentials out;
    out.key_id = store.access_key_id;
    EW_TRY(out.secret, read_secret(store.secret_key_file));
    if (!store.session_token_file.empty()) {
        EW_TRY(out.session_token, read_secret(store.session_token_file));
    }
    return out;
}

}  // namespace

Result<CredentialStore> CredentialStore::load(const std::vector<model::StoreSettings>& stores) {
    CredentialStore out;
    for (const model::StoreSettings& store : stores) {
        auto credentials = store.kind == "local" ? read_local(store) : read_s3(store);
        if (!credentials) {
            return fail(credentials.error().code,
                        "[store." + store.name + "] " + credentials.error().message);
        }
        out.by_store_.emplace(store.name, std::move(*credentials));
    }
    return out;
}

CredentialStore::~CredentialStore() {
    for (auto& [name, credentials] : by_store_) {
        crypto::wipe(credentials.secret);
        crypto::wipe(credentials.session_token);
    }
}

const Credentials* CredentialStore::find(std::string_view store) const {
    const auto found = by_store_.find(store);
    return found == by_store_.end() ? nullptr : &found->second;
}

}  // namespace export_worker::credentials
