#include "daemon/credentials/parse.hpp"

#include <algorithm>
#include <map>

#include "base/base64.hpp"
#include "base/crypto/private_key.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/text.hpp"
#include "daemon/http_client/xml_document.hpp"

namespace export_worker::credentials {
namespace {

using nlohmann::json;

tl::unexpected<Error> bad(std::string what) {
    return fail(ErrorCode::kUnavailable, std::move(what));
}

std::string text_of(const json& object, const char* key) {
    return text_in(object, key).value_or("");
}

// Checks what was handed out. `expires` is text because every service writes it so.
Result<Credentials> checked(Credentials credentials, std::string expires, const Clock& clock) {
    if (credentials.key_id.empty() || credentials.secret.empty())
        return bad("expected an access key id and a secret, found none");
    for (const std::string& each :
         {credentials.key_id, credentials.secret, credentials.session_token}) {
        if (has_control_characters(each)) return bad("expected text, found control characters");
    }
    if (expires.empty()) return credentials;
    // A fraction of a second, as some services write it, is dropped: earlier is safe.
    if (const std::size_t dot = expires.find('.'); dot != std::string::npos)
        expires = expires.substr(0, dot) + "Z";
    const auto unix_s = parse_iso8601_seconds(expires);
    if (!unix_s)
        return bad("expected a time of expiry such as 2026-01-31T12:00:00Z, found '" +
                   printable(expires) + "'");
    credentials.expires_unix_us = *unix_s * 1'000'000;
    if (credentials.expires_unix_us <= clock.unix_us())
        return bad("the credentials have expired already, at " + expires);
    return credentials;
}

std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// Takes the text up to `separator` off the front of `rest`.
std::string_view next_piece(std::string_view& rest, char separator) {
    const std::size_t end = std::min(rest.find(separator), rest.size());
    const std::string_view out = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    return out;
}

}  // namespace

Result<Credentials> parse_profile(std::string_view text, std::string_view profile,
                                  const Clock& clock) {
    std::map<std::string, std::string, std::less<>> keys;
    bool inside = false;
    bool found = false;
    while (!text.empty()) {
        const std::string_view line = trimmed(next_piece(text, '\n'));
        if (line.empty() || line[0] == '#' || line[0] == ';') continue;
        if (line[0] == '[') {
            std::string_view name = trimmed(line.substr(1, line.find(']') - 1));
            if (name.starts_with("profile ")) name = trimmed(name.substr(8));
            inside = name == profile;
            found = found || inside;
        } else if (const std::size_t equals = line.find('=');
                   inside && equals != std::string_view::npos) {
            keys[std::string(trimmed(line.substr(0, equals)))] = trimmed(line.substr(equals + 1));
        }
    }
    const std::string name = "profile '" + printable(profile) + "'";
    if (!found) return fail(ErrorCode::kFailedPrecondition, "no " + name);
    for (const char* other : {"credential_process", "source_profile", "sso_session"}) {
        if (!keys.contains("aws_access_key_id") && keys.contains(other)) {
            return fail(
                ErrorCode::kFailedPrecondition,
                name + " uses " + other + "; expected aws_access_key_id and aws_secret_access_key");
        }
    }
    Credentials out;
    out.key_id = keys["aws_access_key_id"];
    out.secret = keys["aws_secret_access_key"];
    out.session_token = keys["aws_session_token"];
    auto good = checked(std::move(out), keys["aws_expiration"], clock);
    if (!good) return fail(good.error().code, name + ": " + good.error().message);
    return good;
}

Result<Credentials> parse_handed_out(std::string_view json_text, const Clock& clock) {
    const json object = parse_json(json_text);
    if (!object.is_object()) return bad("expected a JSON object");
    if (const std::string code = text_of(object, "Code"); !code.empty() && code != "Success")
        return bad("it says '" + printable(code) + "'");
    Credentials out;
    out.key_id = text_of(object, "AccessKeyId");
    out.secret = text_of(object, "SecretAccessKey");
    out.session_token = text_of(object, "Token");
    if (text_of(object, "Expiration").empty()) return bad("Expiration: missing");
    return checked(std::move(out), text_of(object, "Expiration"), clock);
}

Result<Credentials> parse_assumed_role(std::string_view xml_text, const Clock& clock) {
    const auto document = http::XmlElement::parse(xml_text);
    if (!document) return bad(document.error().message);
    const std::string where = "AssumeRoleWithWebIdentityResult/Credentials/";
    Credentials out;
    out.key_id = document->text(where + "AccessKeyId");
    out.secret = document->text(where + "SecretAccessKey");
    out.session_token = document->text(where + "SessionToken");
    const std::string expires = document->text(where + "Expiration");
    if (expires.empty()) return bad("Expiration: missing");
    return checked(std::move(out), expires, clock);
}

Result<Credentials> parse_service_account(std::string_view json_text) {
    const json object = parse_json(json_text);
    if (!object.is_object()) return invalid_argument("expected a JSON object");
    // Federated and authorized-user files hold nothing that could sign.
    if (const std::string type = text_of(object, "type"); type != "service_account") {
        return invalid_argument(
            "expected a service account key (type service_account), found type '" +
            printable(type) + "'; only a private key can sign links offline");
    }
    Credentials out;
    out.key_id = text_of(object, "client_email");
    out.secret = text_of(object, "private_key");
    if (out.key_id.empty()) return invalid_argument("client_email: missing");
    if (auto key = crypto::PrivateKey::parse(out.secret); !key)
        return invalid_argument("private_key: " + key.error().message);
    return out;
}

Result<Credentials> parse_account_key(std::string_view key, std::string_view account) {
    const auto bytes = from_base64(key);
    if (!bytes || bytes->empty()) return invalid_argument("expected an account key in base64");
    Credentials out;
    out.key_id = account;
    out.secret = key;
    return out;
}

Result<Credentials> parse_connection_string(std::string_view text, std::string_view account) {
    std::string_view key;
    std::string_view name;
    while (!text.empty()) {
        std::string_view value = next_piece(text, ';');
        const std::string_view part = next_piece(value, '=');
        if (part == "AccountKey") key = value;
        if (part == "AccountName") name = value;
    }
    if (key.empty()) return invalid_argument("expected AccountKey=... in it");
    if (name != account) {
        return invalid_argument("expected AccountName=" + std::string(account) +
                                ", the store's account, found '" + printable(name) + "'");
    }
    return parse_account_key(key, account);
}

}  // namespace export_worker::credentials
