#include "daemon/credentials/credential_source.hpp"

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "base/base64.hpp"
#include "base/crypto/private_key.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/text.hpp"
#include "signing/local_link.hpp"

namespace export_worker::credentials {
namespace {

using model::StoreSettings;
using nlohmann::json;

tl::unexpected<Error> refuse(std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what));
}

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
    const json object = json::parse(text, nullptr, false);
    if (!object.is_object()) return refuse(path + ": expected a JSON object");
    const auto text_of = [&](const char* key) {
        const auto found = object.find(key);
        return found != object.end() && found->is_string() ? found->get<std::string>()
                                                           : std::string();
    };
    // Federated and authorized-user files hold nothing that could sign.
    if (text_of("type") != "service_account") {
        return refuse(path +
                      ": expected a service account key (type service_account), found type '" +
                      printable(text_of("type")) + "'; only a private key can sign links offline");
    }
    Credentials out;
    out.key_id = text_of("client_email");
    out.secret = text_of("private_key");
    if (out.key_id.empty()) return refuse(path + ": client_email: missing");
    if (auto key = crypto::PrivateKey::parse(out.secret); !key)
        return fail(key.error().code, path + ": private_key: " + key.error().message);
    return out;
}

Result<Credentials> account_key(const StoreSettings& store, std::string key,
                                const std::string& where) {
    if (!from_base64(key)) return refuse(where + ": expected an account key in base64");
    Credentials out;
    out.key_id = store.values.at("account");
    out.secret = std::move(key);
    return out;
}

Result<Credentials> read_account_key(const StoreSettings& store) {
    const std::string path = setting(store, "account_key_file");
    EW_TRY(std::string key, read_one_line_secret(path));
    return account_key(store, std::move(key), path);
}

Result<Credentials> read_connection_string(const StoreSettings& store) {
    const std::string path = setting(store, "connection_string_file");
    std::string where = path;
    std::string text;
    if (path.empty()) {
        where = "the variable AZURE_STORAGE_CONNECTION_STRING";
        text = environment("AZURE_STORAGE_CONNECTION_STRING");
        if (text.empty())
            return fail(ErrorCode::kFailedPrecondition,
                        "expected connection_string_file or " + where);
    } else {
        EW_TRY(text, read_one_line_secret(path));
    }
    std::string key;
    std::string account;
    for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = std::min(text.find(';', begin), text.size());
        const std::string_view part = std::string_view(text).substr(begin, end - begin);
        const std::size_t equals = std::min(part.find('='), part.size());
        const std::string_view value = part.substr(std::min(equals + 1, part.size()));
        if (part.substr(0, equals) == "AccountKey") key = value;
        if (part.substr(0, equals) == "AccountName") account = value;
        begin = end + 1;
    }
    if (key.empty()) return refuse(where + ": expected AccountKey=... in it");
    if (account != store.values.at("account")) {
        return refuse(where + ": expected AccountName=" + store.values.at("account") +
                      ", the store's account, found '" + printable(account) + "'");
    }
    return account_key(store, std::move(key), where);
}

std::vector<std::string> without_empty(std::vector<std::string> files) {
    std::erase(files, "");
    return files;
}

}  // namespace

Result<std::string> read_one_line_secret(const std::string& path) {
    EW_TRY(std::string text, read_secret_file(path, limits::kSecretFileBytesMax));
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
        text.pop_back();
    if (text.empty() || has_control_characters(text))
        return refuse(path + ": expected one line with the secret");
    return text;
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
