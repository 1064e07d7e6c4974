#include "protocol/message/request.hpp"

#include <optional>

#include "base/assert.hpp"
#include "base/shared_limits.hpp"
#include "protocol/message/find_text.hpp"
#include "protocol/message/limits.hpp"
#include "protocol/message/validating_visitor.hpp"

namespace export_worker::message {
namespace {

constexpr std::uint64_t kVersion = 1;
constexpr std::string_view kEmptyMap("\x80", 1);

// How long the msgpack header in front of a string's bytes is. `text` points into a parsed message,
// so the header is there; a string of up to 31 bytes may have been written in any of four ways.
std::size_t string_header_bytes(std::string_view text) {
    const auto before = [text](std::size_t back) {
        return static_cast<unsigned char>(*(text.data() - back));
    };
    const std::size_t size = text.size();
    if (size < 32 && before(1) == (0xa0U | size)) return 1;
    if (size < 256 && before(2) == 0xd9 && before(1) == size) return 2;
    if (before(3) == 0xda) return 3;
    EW_ASSERT(before(5) == 0xdb);
    return 5;
}

// One pass: validates, notes the known keys of the top level and of `auth`, and where `params`
// lies.
class RequestVisitor final : public ValidatingVisitor<RequestVisitor> {
public:
    explicit RequestVisitor(std::string_view bytes)
        : ValidatingVisitor(bytes.size()), bytes_(bytes) {}

    Request request;
    std::optional<std::uint64_t> version;
    bool has_version = false;  // Of whatever type.
    bool is_map = false;

    void on_key(std::size_t depth, std::string_view key) {
        if (depth == 1 && key.empty()) {
            complaint("an empty top-level key");  // It has no place in the bytes to measure from.
        } else if (depth == 1) {
            has_version = has_version || key == "v";
            end_value(static_cast<std::size_t>(key.data() - bytes_.data()) -
                      string_header_bytes(key));
            key_ = key;
            value_begin_ = static_cast<std::size_t>(key.data() - bytes_.data()) + key.size();
        } else if (depth == 2) {
            auth_key_ = key;
        }
    }
    void on_text(std::size_t depth, std::string_view text) {
        if (depth == 1) {
            if (key_ == "id") return assign(request.id, text, limits::kRequestIdBytesMax, "id");
            if (key_ == "method")
                return assign(request.method, text, limits::kMethodBytesMax, "method");
            if (key_ == "trace")
                return assign(request.trace, text, limits::kTraceBytesMax, "trace");
            wrong_type();
        } else if (depth == 2 && key_ == "auth") {
            if (auth_key_ == "authorization") {
                return assign(request.credentials.authorization, text, limits::kCredentialBytesMax,
                              "auth.authorization");
            }
            if (auth_key_ == "organization_id") {
                return assign(request.credentials.organization_id, text,
                              limits::kOrganizationIdBytesMax, "auth.organization_id");
            }
            if (auth_key_ == "session") {
                return assign(request.credentials.session, text, limits::kCredentialBytesMax,
                              "auth.session");
            }
            if (auth_key_ == "client_address") {
                return assign(request.credentials.client_address, text,
                              limits::kClientAddressBytesMax, "auth.client_address");
            }
        }
    }
    void on_unsigned(std::size_t depth, std::uint64_t value) {
        if (depth == 1 && key_ == "v") {
            version = value;
        } else if (depth == 1 && key_ == "deadline_ms") {
            if (value > limits::kDeadlineMaxMs) {
                complaint(std::string("deadline_ms: expected at most ") +
                          std::to_string(limits::kDeadlineMaxMs) + ", found " +
                          std::to_string(value));
            }
            request.deadline_ms =
                static_cast<std::uint32_t>(std::min<std::uint64_t>(value, limits::kDeadlineMaxMs));
            has_deadline_ = true;
        } else {
            on_other(depth);
        }
    }
    void on_map(std::size_t depth) {
        if (depth == 0) {
            is_map = true;
        } else if (depth == 1 && key_ != "params" && key_ != "auth") {
            wrong_type();
        } else if (depth == 2 && key_ == "auth") {
            wrong_auth_type();
        }
    }
    // Nil, boolean, negative, float, array: right for no known key.
    void on_other(std::size_t depth) {
        if (depth == 1) wrong_type();
        if (depth == 2 && key_ == "auth") wrong_auth_type();
    }

    // After the parser succeeded.
    void finish() {
        end_value(bytes_.size());
        if (!has_deadline_) request.deadline_ms = limits::kDeadlineDefaultMs;
        if (request.params.empty()) request.params = kEmptyMap;
    }
    // The first complaint about a known key; empty when there is none.
    [[nodiscard]] const std::string& complaint_text() const { return complaint_; }

private:
    void end_value(std::size_t end) {
        if (key_ == "params") request.params = bytes_.substr(value_begin_, end - value_begin_);
    }
    void complaint(std::string text) {
        if (complaint_.empty()) complaint_ = std::move(text);
    }
    void wrong_type() {
        for (const std::string_view known :
             {"v", "id", "method", "deadline_ms", "auth", "trace", "params"}) {
            if (key_ == known)
                complaint(std::string(known) + ": wrong type; see docs/wire_protocol.md");
        }
    }
    void wrong_auth_type() {
        for (const std::string_view known :
             {"authorization", "organization_id", "session", "client_address"}) {
            if (auth_key_ == known) complaint("auth." + std::string(known) + ": expected text");
        }
    }
    void assign(std::string_view& target, std::string_view text, std::size_t bytes_max,
                std::string_view name) {
        if (text.size() > bytes_max) {
            return complaint(std::string(name) + ": expected at most " + std::to_string(bytes_max) +
                             " bytes, found " + std::to_string(text.size()));
        }
        target = text;
    }

    std::string_view bytes_;
    std::string_view key_;       // The top-level key whose value is being read.
    std::string_view auth_key_;  // The same one level down, inside `auth`.
    std::size_t value_begin_ = 0;
    bool has_deadline_ = false;
    std::string complaint_;
};

tl::unexpected<DecodeFailure> decode_failure(WireCode code, std::string message,
                                             std::string_view id = {}) {
    return tl::unexpected<DecodeFailure>(DecodeFailure{make_error(code, std::move(message)), id});
}

std::string version_problem(const RequestVisitor& visitor) {
    if (!visitor.has_version) return "v: missing; expected 1";
    if (!visitor.version) return "v: expected the integer 1, found a value of another type";
    return "v: expected 1, found " + std::to_string(*visitor.version);
}

}  // namespace

tl::expected<Request, DecodeFailure> decode_request(std::string_view bytes) {
    if (bytes.size() > limits::kRequestBytesMax) {
        return decode_failure(WireCode::kTooLarge, "request: expected at most " +
                                                       std::to_string(limits::kRequestBytesMax) +
                                                       " bytes, found " +
                                                       std::to_string(bytes.size()));
    }
    RequestVisitor visitor(bytes);
    if (!visit_whole(bytes, visitor)) {
        // Who asked is told all the same, if the id can be found.
        const std::string_view id = find_top_level_text(bytes, "id").value_or(std::string_view());
        const bool good = id.size() <= limits::kRequestIdBytesMax && !has_control_characters(id) &&
                          is_valid_utf8(id);
        return decode_failure(WireCode::kBadRequest,
                              "request: expected one msgpack map, found " + visitor.problem(),
                              good ? id : std::string_view());
    }
    if (!visitor.is_map)
        return decode_failure(WireCode::kBadRequest, "request: expected a msgpack map");
    visitor.finish();
    const Request& request = visitor.request;
    const std::string_view id =
        has_control_characters(request.id) ? std::string_view() : request.id;
    if (visitor.version != kVersion)
        return decode_failure(WireCode::kBadRequest, version_problem(visitor), id);
    if (!visitor.complaint_text().empty())
        return decode_failure(WireCode::kBadRequest, visitor.complaint_text(), id);
    if (request.method.empty())
        return decode_failure(WireCode::kBadRequest, "method: missing or empty", id);
    if (has_control_characters(request.id))
        return decode_failure(WireCode::kBadRequest, "id: control characters");
    return request;
}

std::string encode_request(const Request& request) {
    std::string out;
    out.reserve(256 + request.credentials.authorization.size() + request.params.size());
    StringSink sink{out};
    msgpack::packer<StringSink> packer(sink);
    const Credentials& credentials = request.credentials;
    const auto given = [](std::string_view text) { return text.empty() ? 0U : 1U; };
    const std::uint32_t auth_count = given(credentials.authorization) +
                                     given(credentials.organization_id) +
                                     given(credentials.session) + given(credentials.client_address);
    packer.pack_map(4 + given(request.id) + given(request.trace) + (auth_count > 0 ? 1U : 0U));
    const auto pack_text = [&](std::string_view key, std::string_view text) {
        if (text.empty()) return;
        packer.pack(key);
        packer.pack(text);
    };
    packer.pack("v");
    packer.pack(kVersion);
    pack_text("id", request.id);
    packer.pack("method");
    packer.pack(request.method);
    packer.pack("deadline_ms");
    packer.pack(request.deadline_ms);
    pack_text("trace", request.trace);
    if (auth_count > 0) {
        packer.pack("auth");
        packer.pack_map(auth_count);
        pack_text("authorization", credentials.authorization);
        pack_text("organization_id", credentials.organization_id);
        pack_text("session", credentials.session);
        pack_text("client_address", credentials.client_address);
    }
    packer.pack("params");
    const std::string_view params = request.params.empty() ? kEmptyMap : request.params;
    out += params;
    return out;
}

std::string encode_params(const std::map<std::string, std::string>& params) {
    std::string out;
    StringSink sink{out};
    msgpack::packer<StringSink> packer(sink);
    packer.pack(params);
    return out;
}

}  // namespace export_worker::message
