#include "signing/azure_sas.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "base/base64.hpp"
#include "base/crypto/sha256.hpp"
#include "base/text.hpp"
#include "signing/object_key.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::signing {
namespace {

// The service's own order of permissions; another one is a signature mismatch there.
constexpr std::string_view kPermissions = "racwdxyltmeopi";

bool is_date(std::string_view text) {
    if (text.size() != 10) return false;
    for (std::size_t index = 0; index < text.size(); ++index) {
        const bool dash = index == 4 || index == 7;
        if (dash ? text[index] != '-' : (text[index] < '0' || text[index] > '9')) return false;
    }
    return true;
}

Result<void> check_version(const AzureSasRequest& request) {
    const std::string_view version = request.version;
    if (!is_date(version) || version < kAzureVersionOldest || version > kAzureVersionNewest) {
        return invalid_argument(
            "version: expected a service version from " + std::string(kAzureVersionOldest) +
            " to " + std::string(kAzureVersionNewest) + ", found '" + printable(version) + "'");
    }
    const auto needs = [&](bool given, const char* what, std::string_view since) -> Result<void> {
        if (!given || version >= since) return {};
        return invalid_argument("version: " + std::string(what) + " needs " + std::string(since) +
                                " or later, found '" + std::string(version) + "'");
    };
    EW_CHECK(needs(!request.snapshot.empty() || !request.version_id.empty(),
                   "a snapshot or version", "2018-11-09"));
    EW_CHECK(needs(!request.encryption_scope.empty(), "an encryption scope", "2020-12-06"));
    EW_CHECK(needs(request.delegation_key != nullptr, "a user delegation key", "2018-11-09"));
    EW_CHECK(
        needs(!request.preauthorized_agent_object_id.empty() || !request.correlation_id.empty(),
              "an agent or correlation id", "2020-02-10"));
    return needs(!request.delegated_user_object_id.empty(), "a delegated user", "2025-07-05");
}

Result<void> check_resource(const AzureSasRequest& request) {
    constexpr std::array<std::string_view, 4> kResources{"b", "bs", "bv", "c"};
    if (std::ranges::find(kResources, request.resource) == kResources.end())
        return invalid_argument("resource: expected b, bs, bv or c, found '" +
                                printable(request.resource) + "'");
    if (request.account.empty()) return invalid_argument("account: missing");
    if (request.container.empty() || request.container.find('/') != std::string_view::npos)
        return invalid_argument("container: expected a name without slashes, found '" +
                                printable(request.container) + "'");
    if (request.resource == "bs" && request.snapshot.empty())
        return invalid_argument("snapshot: missing; resource bs is one");
    if (request.resource == "bv" && request.version_id.empty())
        return invalid_argument("version_id: missing; resource bv is one");
    if (request.resource == "c" || request.blob.empty()) return {};
    return check_object_key(request.blob);
}

Result<void> check_grant(const AzureSasRequest& request) {
    std::size_t at = 0;
    for (const char letter : request.permissions) {
        const std::size_t found = kPermissions.find(letter, at);
        if (found == std::string_view::npos) {
            return invalid_argument("permissions: expected letters of '" +
                                    std::string(kPermissions) + "' in this order, found '" +
                                    printable(request.permissions) + "'");
        }
        at = found + 1;
    }
    if (!request.protocol.empty() && request.protocol != "https" &&
        request.protocol != "https,http") {
        return invalid_argument("protocol: expected https or https,http, found '" +
                                printable(request.protocol) + "'");
    }
    if (request.identifier.empty()) {
        if (request.expiry.empty())
            return invalid_argument(
                "expiry: missing; only a stored policy (identifier) can take its place");
        return {};
    }
    if (request.delegation_key != nullptr)
        return invalid_argument("identifier: a user delegation SAS cannot name a stored policy");
    return {};
}

// Every field is a line of the string to sign, so there are as many as fields.
Result<void> check_lines(const AzureSasRequest& request, const std::string& to_sign,
                         std::size_t lines) {
    if (static_cast<std::size_t>(std::ranges::count(to_sign, '\n')) + 1 == lines &&
        to_sign.find('\r') == std::string::npos)
        return {};
    for (const std::string_view field :
         {request.account, request.container, request.blob, request.start, request.expiry,
          request.ip, request.identifier, request.encryption_scope, request.snapshot,
          request.version_id, request.cache_control, request.content_disposition,
          request.content_encoding, request.content_language, request.content_type,
          request.preauthorized_agent_object_id, request.correlation_id,
          request.delegated_user_object_id}) {
        if (field.find_first_of("\r\n") != std::string_view::npos)
            return invalid_argument("expected fields without line breaks, found '" +
                                    printable(field) + "'");
    }
    return invalid_argument("expected fields without line breaks");
}

class Lines {
public:
    Lines() { text_.reserve(384); }
    void add(std::string_view line) {
        if (count_++ > 0) text_ += '\n';
        text_ += line;
    }
    void add(std::initializer_list<std::string_view> lines) {
        for (const std::string_view line : lines) add(line);
    }
    [[nodiscard]] std::string take() { return std::move(text_); }
    [[nodiscard]] std::size_t count() const { return count_; }

private:
    std::string text_;
    std::size_t count_ = 0;
};

std::string canonical_resource(const AzureSasRequest& request) {
    std::string out = "/blob/";
    out += request.account;
    out += '/';
    out += request.container;
    if (request.resource == "c") return out;
    out += '/';
    out += request.blob;
    return out;
}

Result<std::string> string_to_sign(const AzureSasRequest& request) {
    const std::string_view version = request.version;
    const std::string_view point_in_time =
        request.resource == "bv" ? request.version_id : request.snapshot;
    Lines lines;
    lines.add({request.permissions, request.start, request.expiry, canonical_resource(request)});
    if (const AzureDelegationKey* key = request.delegation_key) {
        lines.add({key->signed_oid, key->signed_tid, key->signed_start, key->signed_expiry,
                   key->signed_service, key->signed_version});
        if (version >= "2020-02-10")
            lines.add({request.preauthorized_agent_object_id, "", request.correlation_id});
        if (version >= "2025-07-05") lines.add({"", request.delegated_user_object_id});
    } else {
        lines.add(request.identifier);
    }
    lines.add({request.ip, request.protocol, version});
    if (version >= "2018-11-09") lines.add({request.resource, point_in_time});
    if (version >= "2020-12-06") lines.add(request.encryption_scope);
    if (request.delegation_key != nullptr && version >= "2026-04-06") lines.add({"", ""});
    lines.add({request.cache_control, request.content_disposition, request.content_encoding,
               request.content_language, request.content_type});
    const std::size_t count = lines.count();
    std::string out = lines.take();
    EW_CHECK(check_lines(request, out, count));
    return out;
}

std::string token(const AzureSasRequest& request, std::string_view signature) {
    std::string out;
    out.reserve(512);
    const auto add = [&](std::string_view name, std::string_view value) {
        if (value.empty()) return;
        if (!out.empty()) out += '&';
        out += name;
        out += '=';
        append_percent_encoded(out, value);
    };
    add("sv", request.version);
    add("spr", request.protocol);
    add("st", request.start);
    add("se", request.expiry);
    add("sip", request.ip);
    add("si", request.identifier);
    if (const AzureDelegationKey* key = request.delegation_key) {
        add("skoid", key->signed_oid);
        add("sktid", key->signed_tid);
        add("skt", key->signed_start);
        add("ske", key->signed_expiry);
        add("sks", key->signed_service);
        add("skv", key->signed_version);
        add("saoid", request.preauthorized_agent_object_id);
        add("scid", request.correlation_id);
        add("sduoid", request.delegated_user_object_id);
    }
    add("sr", request.resource);
    add("sp", request.permissions);
    add("ses", request.encryption_scope);
    add("rscc", request.cache_control);
    add("rscd", request.content_disposition);
    add("rsce", request.content_encoding);
    add("rscl", request.content_language);
    add("rsct", request.content_type);
    add("sig", signature);
    return out;
}

}  // namespace

Result<AzureSas> sign_azure_sas(const AzureSasRequest& request, std::string_view key) {
    EW_CHECK(check_version(request));
    EW_CHECK(check_resource(request));
    EW_CHECK(check_grant(request));
    AzureSas out;
    EW_TRY(out.string_to_sign, string_to_sign(request));
    const std::string signature =
        to_base64(crypto::as_bytes(crypto::hmac_sha256(key, out.string_to_sign)));
    out.query = token(request, signature);
    out.url.reserve(256 + out.query.size());
    out.url += request.endpoint->scheme;
    out.url += request.endpoint->host;
    out.url += request.endpoint->path;
    out.url += '/';
    append_percent_encoded(out.url, request.container);
    if (request.resource != "c") {
        out.url += '/';
        append_percent_encoded_path(out.url, request.blob);
    }
    out.url += '?';
    // What names the snapshot or version is part of the URL, not of the token.
    if (!request.snapshot.empty() || !request.version_id.empty()) {
        out.url += request.snapshot.empty() ? "versionid=" : "snapshot=";
        append_percent_encoded(out.url,
                               request.snapshot.empty() ? request.version_id : request.snapshot);
        out.url += '&';
    }
    out.url += out.query;
    return out;
}

}  // namespace export_worker::signing
