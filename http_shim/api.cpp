#include "http_shim/api.hpp"

#include <algorithm>

#include "base/clock.hpp"
#include "base/crypto/uuid.hpp"
#include "base/json.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "http_shim/limits.hpp"
#include "protocol/message/job_id.hpp"
#include "protocol/message/json_text.hpp"
#include "protocol/message/limits.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::http_shim {
namespace {

// The message's id is longer, by a number that makes it unique.
constexpr std::size_t kRequestIdBytesMax = 40;

using nlohmann::json;

struct Cookie {
    std::size_t count = 0;
    std::string_view value;  // Of the first.
};

Cookie find_cookie(std::string_view cookies, std::string_view name) {
    Cookie found;
    while (!cookies.empty()) {
        const std::size_t end = std::min(cookies.find(';'), cookies.size());
        std::string_view pair = cookies.substr(0, end);
        cookies.remove_prefix(std::min(end + 1, cookies.size()));
        while (pair.starts_with(' ')) pair.remove_prefix(1);
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos || pair.substr(0, equals) != name) continue;
        if (++found.count == 1) found.value = pair.substr(equals + 1);
    }
    return found;
}

// A filter that no job can match is a mistake, and so is one that says nothing.
tl::expected<void, Response> check_text(const std::string& name, const std::string& value) {
    if (value.empty()) {
        return tl::unexpected(make_validation_response(
            {"query", name}, "String should have at least 1 character", "string_too_short"));
    }
    if (printable(value, value.size()) != value) {
        return tl::unexpected(make_validation_response({"query", name},
                                                       "String should have no control characters",
                                                       "string_pattern_mismatch"));
    }
    return {};
}

tl::expected<void, Response> add_field(const std::string& name, const std::string& value,
                                       const message::WireMethod& method, json& params) {
    const auto field = std::ranges::find(method.query, name, &message::QueryField::name);
    if (field == method.query.end()) {
        std::string known;
        for (const message::QueryField& each : method.query)
            known += (known.empty() ? "" : ", ") + std::string(each.name);
        return tl::unexpected(make_validation_response({"query", printable(name)},
                                                       "unknown field; expected only " + known));
    }
    if (params.contains(name)) {
        return tl::unexpected(
            make_validation_response({"query", name}, "expected once, found twice"));
    }
    if (!field->is_number) {
        if (auto good = check_text(name, value); !good) return good;
        params[name] = value;
        return {};
    }
    const auto number = parse_unsigned(value);
    if (!number) {
        return tl::unexpected(make_validation_response(
            {"query", name}, "Input should be a valid integer of at least 0", "int_parsing"));
    }
    params[name] = *number;
    return {};
}

// Form decoding: '+' is a space.
tl::expected<void, Response> add_query(std::string_view query, const message::WireMethod& method,
                                       json& params) {
    while (!query.empty()) {
        const std::size_t end = std::min(query.find('&'), query.size());
        std::string pair(query.substr(0, end));
        query.remove_prefix(std::min(end + 1, query.size()));
        if (pair.empty()) continue;
        std::ranges::replace(pair, '+', ' ');
        const std::size_t equals = std::min(pair.find('='), pair.size());
        const auto name = signing::percent_decode(pair.substr(0, equals));
        const auto value = signing::percent_decode(
            std::string_view(pair).substr(std::min(equals + 1, pair.size())));
        if (!name || !value || !is_valid_utf8(*name) || !is_valid_utf8(*value)) {
            return tl::unexpected(
                make_error_response(400, "Bad request: the query is not percent-encoded UTF-8"));
        }
        if (auto added = add_field(*name, *value, method, params); !added)
            return tl::unexpected(std::move(added.error()));
    }
    return {};
}

tl::expected<json, Response> read_body(std::string_view body) {
    if (body.empty()) return json::object();
    JsonBounds bounds{limits::kMessageDepthMax - 1, limits::kHttpBodyValuesMax};
    bounds.name_bytes_max = limits::kMessageKeyBytesMax;
    bounds.names_unique = true;
    auto object = parse_json(body, bounds);
    if (!object)
        return tl::unexpected(make_validation_response(
            {"body"}, "JSON decode error: " + object.error().message, "json_invalid"));
    if (!object->is_object())
        return tl::unexpected(
            make_validation_response({"body"}, "Input should be a valid dictionary", "dict_type"));
    return std::move(*object);
}

// A job_id that no job can have is refused here, with the types FastAPI has for it, without asking
// the daemon.
tl::expected<void, Response> check_job_id(const std::string& job_id) {
    const auto good = message::check_job_id(job_id);
    if (good && is_valid_utf8(job_id)) return {};
    std::string_view problem = "expected UTF-8 text";
    if (!good) {
        problem = good.error().message;
        problem.remove_prefix(message::field_of(problem).size() + 2);
    }
    return tl::unexpected(make_validation_response(
        {"path", "job_id"}, problem,
        job_id.size() > limits::kJobIdBytesMax ? "string_too_long" : "string_pattern_mismatch"));
}

bool has_query(const Match& match) {
    return !match.route->wire_method->query.empty();
}

// The header's form of the field (IETF draft "The Idempotency-Key HTTP Header Field"). One that is
// passed over would make a second job of a request that is sent again.
tl::expected<void, Response> add_idempotency_key(const RequestHead& head, json& params) {
    const auto header = head.headers.find("idempotency-key");
    if (header == head.headers.end()) return {};
    const std::string& key = header->second;
    const auto refuse = [](std::string_view message, std::string_view type) {
        return tl::unexpected(
            make_validation_response({"header", "Idempotency-Key"}, message, type));
    };
    if (key.empty()) return refuse("String should have at least 1 character", "string_too_short");
    if (!is_valid_utf8(key)) return refuse("String should be UTF-8 text", "string_unicode");
    const auto [in_body, is_new] = params.emplace("idempotency_key", key);
    if (!is_new && *in_body != key)
        return refuse("Value should be the body's idempotency_key", "value_error");
    return {};
}

// Path, query, headers and body in one map.
tl::expected<std::string, Response> gather_params(const Match& match, const RequestHead& head,
                                                  std::string_view body) {
    auto params = read_body(body);
    if (!params) return tl::unexpected(std::move(params.error()));
    for (const auto& [name, value] : match.parameters) (*params)[name] = value;
    if (has_query(match)) {
        if (auto good = add_query(head.query, *match.route->wire_method, *params); !good)
            return tl::unexpected(std::move(good.error()));
    }
    if (match.route->wire_method->takes_idempotency_key) {
        if (auto good = add_idempotency_key(head, *params); !good)
            return tl::unexpected(std::move(good.error()));
    }
    const std::string bytes = dump_msgpack(*params);
    return bytes;
}

// "download_url/1.0.0; generation=7; build=0a1b2c3d4e5f": whose code made this answer.
void add_served_by(Response& response, const message::Reply& reply) {
    if (!reply.served_by) return;
    const message::ServedBy& by = *reply.served_by;
    std::string value;
    value.reserve(by.plugin.size() + by.version.size() + 64);
    value.append(by.plugin).append("/").append(by.version);
    value.append("; generation=").append(std::to_string(by.generation));
    value.append("; build=").append(by.build_id.substr(0, 12));
    // A header is ASCII; a version that is not stays out of it.
    const bool ascii = std::ranges::all_of(value, [](char c) { return c >= 0x20 && c < 0x7f; });
    if (ascii) response.headers.emplace_back("X-Served-By", std::move(value));
}

}  // namespace

tl::expected<std::string, Response> make_message(const Match& match, const RequestHead& head,
                                                 std::string_view body,
                                                 const MessageFields& fields) {
    if (const auto job_id = match.parameters.find("job_id"); job_id != match.parameters.end()) {
        if (auto good = check_job_id(job_id->second); !good)
            return tl::unexpected(std::move(good.error()));
    }
    const bool only_path = body.empty() && match.route->method == Method::kGet && !has_query(match);
    const tl::expected<std::string, Response> bytes =
        only_path ? message::encode_params(match.parameters) : gather_params(match, head, body);
    if (!bytes) return tl::unexpected(bytes.error());
    message::Request request;
    request.id = fields.id;
    request.method = match.route->wire_method->name;
    request.deadline_ms = fields.deadline_ms;
    const Credential credential = credential_of(head);
    // The daemon would say "bad_request" to some; a browser's owner deserves the real answer.
    if (credential.kind != Credential::Kind::kNone) {
        if (auto refused = refuse_credential(credential))
            return tl::unexpected(std::move(*refused));
    }
    (credential.kind == Credential::Kind::kAuthorization ? request.credentials.authorization
                                                         : request.credentials.session) =
        credential.value;
    request.credentials.client_address = fields.client;
    request.credentials.organization_id = head.header("x-organization-id");
    request.trace = fields.traceparent;
    request.params = *bytes;
    if (request.credentials.organization_id.size() > limits::kOrganizationIdBytesMax ||
        !is_valid_utf8(request.credentials.organization_id)) {
        return tl::unexpected(make_error_response(403, "Not a member of this organization"));
    }
    return message::encode_request(request);
}

Response make_response(const Match& match, const Result<std::string>& reply) {
    if (!reply) {
        const bool late = reply.error().code == ErrorCode::kDeadlineExceeded;
        return make_error_response(late ? 504 : 503, reply.error().message);
    }
    const auto decoded = message::decode_reply(*reply);
    if (!decoded) return make_error_response(500, "Internal Server Error");
    if (!decoded->ok) {
        const bool has_path_id =
            match.parameters.contains("job_id") && decoded->error.field == "job_id";
        Response refused = make_wire_error_response(decoded->error, has_path_id        ? "path"
                                                                    : has_query(match) ? "query"
                                                                                       : "body");
        add_served_by(refused, *decoded);
        return refused;
    }
    Response response;
    add_served_by(response, *decoded);
    response.status = match.route->success_status;
    if (!message::append_json(response.body, decoded->result))
        return make_error_response(500, "Internal Server Error");
    return response;
}

Credential credential_of(const RequestHead& head) {
    const std::string_view authorization = head.header("authorization");
    if (!authorization.empty()) return {Credential::Kind::kAuthorization, authorization};
    const std::string_view cookies = head.header("cookie");
    for (const std::string_view name : {"__Host-stytch_session", "stytch_session"}) {
        const Cookie cookie = find_cookie(cookies, name);
        if (cookie.count > 1) return {Credential::Kind::kAmbiguous, {}};
        if (!cookie.value.empty()) return {Credential::Kind::kCookie, cookie.value};
    }
    return {};
}

std::optional<Response> refuse_credential(const Credential& credential) {
    const bool none = credential.kind == Credential::Kind::kNone;
    if (!none && credential.kind != Credential::Kind::kAmbiguous &&
        credential.value.size() <= limits::kCredentialBytesMax && is_valid_utf8(credential.value))
        return std::nullopt;
    return make_wire_error_response(
        message::make_error(message::WireCode::kUnauthenticated,
                            none ? "Not authenticated" : "Invalid credentials"),
        "");
}

std::optional<Response> refuse_content_type(const RequestHead& head) {
    const std::string_view declared = head.header("content-type");
    std::string type = lower_case(declared.substr(0, declared.find(';')));
    while (type.ends_with(' ') || type.ends_with('\t')) type.pop_back();
    const bool json =
        type == "application/json" || (type.starts_with("application/") && type.ends_with("+json"));
    if (type.empty() || json) return std::nullopt;
    return make_error_response(415, "Unsupported Media Type: expected application/json");
}

std::optional<Response> redirect_slash(const RequestHead& head) {
    std::string path = head.path;
    if (path.size() > 1 && path.ends_with('/'))
        path.pop_back();
    else
        path += '/';
    const Match other = match_route(head.method, path);
    if (other.allow.empty() ||
        (other.route != nullptr && other.route->kind == RouteKind::kDownload))
        return std::nullopt;
    if (head.target.size() > head.path.size()) path += head.target.substr(head.path.size());
    Response response = make_error_response(307, "Temporary Redirect");
    response.headers.emplace_back("Location", std::move(path));
    return response;
}

std::string request_id_of(const RequestHead& head) {
    const std::string_view given = head.header("x-request-id");
    const bool good = !given.empty() && given.size() <= kRequestIdBytesMax &&
                      std::ranges::all_of(given, [](char c) {
                          return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                 (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
                      });
    return good ? std::string(given) : crypto::make_uuid7(system_clock().unix_us());
}

}  // namespace export_worker::http_shim
