#include "daemon/credentials/credential_source.hpp"

#include <cstdlib>

#include "base/crypto/private_key.hpp"
#include "base/io.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/credentials/parse.hpp"
#include "signing/local_link.hpp"

namespace export_worker::credentials {
namespace {

using model::StoreSettings;

// A file or two, read with one function.
class FileSource : public CredentialSource {
public:
    using Read = Result<Credentials> (*)(const StoreSettings& store);
    FileSource(const StoreSettings& store, std::string name, std::vector<std::string> files,
               Read read)
        : store_(store), name_(std::move(name)), files_(std::move(files)), read_(read) {}
    Result<Credentials> fetch() override { return read_(store_); }
    std::string name() const override { return name_; }
    std::vector<std::string> files() const override { return files_; }

private:
    const StoreSettings store_;
    const std::string name_;
    const std::vector<std::string> files_;
    const Read read_;
};

// Says where it was that something was wrong.
Result<Credentials> at(const std::string& where, Result<Credentials> parsed) {
    if (!parsed) return fail(parsed.error().code, where + ": " + parsed.error().message);
    return parsed;
}

Result<Credentials> read_local(const StoreSettings& store) {
    const std::string path = setting(store, "key_file");
    EW_TRY(const std::string text, read_secret_file(path, limits::kSecretFileBytesMax));
    auto keys = signing::parse_local_link_keys(text);
    if (!keys) return fail(keys.error().code, path + ": " + keys.error().message);
    Credentials out;
    out.key_id = keys->front().id;
    out.secret = keys->front().secret;
    return out;
}

// Access key and secret: static keys of s3, HMAC keys of gcs.
Result<Credentials> read_static(const StoreSettings& store) {
    Credentials out;
    out.key_id = setting(store, "access_key_id");
    EW_TRY(out.secret, read_one_line_secret(setting(store, "secret_access_key_file")));
    if (const std::string path = setting(store, "session_token_file"); !path.empty()) {
        EW_TRY(out.session_token, read_one_line_secret(path));
    }
    return out;
}

Result<std::string> read_private_key(const std::string& path) {
    EW_TRY(std::string pem, read_secret_file(path, limits::kSecretFileBytesMax));
    if (auto key = crypto::PrivateKey::parse(pem); !key)
        return fail(key.error().code, path + ": " + key.error().message);
    return pem;
}

Result<Credentials> read_cloudfront(const StoreSettings& store) {
    Credentials out;
    out.key_id = setting(store, "key_pair_id");
    EW_TRY(out.secret, read_private_key(setting(store, "private_key_file")));
    return out;
}

std::string service_account_path(const StoreSettings& store) {
    const std::string path = setting(store, "service_account_file");
    return path.empty() ? environment("GOOGLE_APPLICATION_CREDENTIALS") : path;
}

Result<Credentials> read_service_account(const StoreSettings& store) {
    const std::string path = service_account_path(store);
    if (path.empty()) {
        return fail(ErrorCode::kFailedPrecondition,
                    "expected service_account_file or the variable GOOGLE_APPLICATION_CREDENTIALS");
    }
    EW_TRY(const std::string text, read_secret_file(path, limits::kSecretFileBytesMax));
    return at(path, parse_service_account(text));
}

Result<Credentials> read_account_key(const StoreSettings& store) {
    const std::string path = setting(store, "account_key_file");
    EW_TRY(const std::string key, read_one_line_secret(path));
    return at(path, parse_account_key(key, store.values.at("account")));
}

Result<Credentials> read_connection_string(const StoreSettings& store) {
    const std::string path = setting(store, "connection_string_file");
    const char* const variable = "AZURE_STORAGE_CONNECTION_STRING";
    std::string text = environment(variable);
    if (path.empty() && text.empty()) {
        return fail(ErrorCode::kFailedPrecondition,
                    std::string("expected connection_string_file or the variable ") + variable);
    }
    if (!path.empty()) {
        EW_TRY(text, read_one_line_secret(path));
    }
    return at(path.empty() ? variable : path,
              parse_connection_string(text, store.values.at("account")));
}

std::vector<std::string> without_empty(std::vector<std::string> files) {
    std::erase(files, "");
    return files;
}

}  // namespace

Result<std::string> read_one_line_secret(const std::string& path) {
    EW_TRY(std::string text, read_secret_file(path, limits::kSecretFileBytesMax));
    std::string secret = without_line_end(std::move(text));
    while (secret.ends_with(' ')) secret.pop_back();
    if (secret.empty() || has_control_characters(secret))
        return invalid_argument(path + ": expected one line with the secret, found " +
                                (secret.empty() ? "none" : "several, or control characters"));
    return secret;
}

std::string environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
}

std::string setting(const StoreSettings& store, const char* key) {
    const auto found = store.credentials.find(key);
    return found == store.credentials.end() ? "" : found->second;
}

std::unique_ptr<CredentialSource> make_source(const StoreSettings& store, const Clock& clock,
                                              const std::atomic<bool>* stopping) {
    const std::string& source = store.credentials_source;
    const auto from_files = [&](std::vector<std::string> files, FileSource::Read read) {
        return std::make_unique<FileSource>(store, source, without_empty(std::move(files)), read);
    };
    if (source == "key_file") return from_files({setting(store, "key_file")}, read_local);
    if (source == "private_key")
        return from_files({setting(store, "private_key_file")}, read_cloudfront);
    if (source == "service_account")
        return from_files({service_account_path(store)}, read_service_account);
    if (source == "account_key")
        return from_files({setting(store, "account_key_file")}, read_account_key);
    if (source == "connection_string")
        return from_files({setting(store, "connection_string_file")}, read_connection_string);
    if (source == "static" || source == "hmac") {
        return from_files(
            {setting(store, "secret_access_key_file"), setting(store, "session_token_file")},
            read_static);
    }
    return make_aws_source(store, clock, stopping);
}

}  // namespace export_worker::credentials
