#include "daemon/auth/session_provider.hpp"

#include <algorithm>

#include "base/base64.hpp"
#include "base/io.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/log.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/auth/back_off.hpp"
#include "daemon/auth/json_object.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {
namespace {

using nlohmann::json;

tl::unexpected<Error> no_sense(const char* what) {
    return fail(ErrorCode::kUnavailable,
                std::string("session provider: expected ") + what + " in its answer");
}

}  // namespace

Result<std::unique_ptr<SessionProvider>> SessionProvider::open(const model::AuthSettings& settings,
                                                               const Clock& clock) {
    EW_TRY(std::string text,
           read_secret_file(settings.session_secret_file, limits::kSecretFileBytesMax));
    const std::string secret = without_line_end(std::move(text));
    if (secret.empty())
        return fail(ErrorCode::kInvalidArgument,
                    settings.session_secret_file + ": expected a secret, found nothing");
    return std::unique_ptr<SessionProvider>(
        new SessionProvider(settings.session_url, settings.ca_file,
                            "Basic " + to_base64(settings.session_user + ":" + secret), clock));
}

Result<std::optional<Identity>> SessionProvider::introspect(std::string_view token) {
    if (is_paused())
        return fail(ErrorCode::kUnavailable, "session provider: not asked for a while");
    const auto answer = send(token);
    if (!answer) {
        count(false);
        return fail(ErrorCode::kUnavailable, answer.error().message);
    }
    if (answer->status == 429) {
        back_off(answer->header("retry-after"));
    } else {
        // Whatever a token can make it say is an answer: strangers choose their tokens.
        count(answer->status < 500);
    }
    if (answer->status == 200) return parse_session_answer(answer->body);
    if (answer->status == 400 || answer->status == 401 || answer->status == 404)
        return std::optional<Identity>();
    return fail(ErrorCode::kUnavailable,
                "session provider: status " + std::to_string(answer->status));
}

Result<http::HttpAnswer> SessionProvider::send(std::string_view token) {
    std::unique_ptr<http::HttpClient> client;
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            client = std::move(idle_.back());
            idle_.pop_back();
        }
    }
    if (!client) client = std::make_unique<http::HttpClient>(&stopping_);
    const std::string body = dump_json({{"session_token", token}});
    http::HttpRequest request;
    request.method = "POST";
    request.url = url_;
    request.ca_file = ca_file_;
    request.headers = {{"Authorization", authorization_}, {"Content-Type", "application/json"}};
    request.body = body;
    request.connect_timeout = limits::kSessionAskTimeout;
    request.timeout = limits::kSessionAskTimeout;
    request.answer_bytes_max = limits::kJwksBytesMax;
    auto answer = client->send(request);
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(client));
    return answer;
}

bool SessionProvider::is_paused() const {
    const std::lock_guard lock(mutex_);
    return clock_.steady() < paused_until_;
}

std::string SessionProvider::problem() const {
    const std::lock_guard lock(mutex_);
    return problem_;
}

void SessionProvider::count(bool answered) {
    const std::lock_guard lock(mutex_);
    failures_ = answered ? 0 : failures_ + 1;
    if (answered) problem_.clear();
    if (failures_ < limits::kSessionAskFailuresMax) return;
    // One failure after the pause starts the next one.
    failures_ = limits::kSessionAskFailuresMax - 1;
    paused_until_ = clock_.steady() + limits::kSessionAskPause;
    problem_ = url_ + " has failed " + std::to_string(limits::kSessionAskFailuresMax) +
               " times in a row; it is asked again every " +
               std::to_string(limits::kSessionAskPause.count()) + " s";
    log_error("session provider: {} failures in a row; not asked for {} s",
              limits::kSessionAskFailuresMax, limits::kSessionAskPause.count());
}

void SessionProvider::back_off(std::string_view retry_after) {
    const std::chrono::seconds pause = back_off_of(retry_after);
    const std::lock_guard lock(mutex_);
    const SteadyTime now = clock_.steady();
    if (now >= paused_until_)
        log_warn("session provider: status 429; not asked for {} s", pause.count());
    problem_ = url_ + " answers with status 429: too many questions";
    paused_until_ = std::max(paused_until_, now + pause);
}

Result<std::optional<Identity>> parse_session_answer(std::string_view body) {
    const std::optional<json> answer = parse_object(body);
    if (!answer) return no_sense("an object");
    const json& member = object_in(*answer, "member");
    const json& session = object_in(*answer, "member_session");
    const std::optional<std::string> subject = text_in(session, "member_id");
    const std::optional<std::string> organization = text_in(session, "organization_id");
    std::string expires_at = text_in(session, "expires_at").value_or("");
    if (const std::size_t point = expires_at.find('.'); point != std::string::npos)
        expires_at = expires_at.substr(0, point) + "Z";  // A fraction of a second less.
    const auto expires = parse_iso8601_seconds(expires_at);
    if (!subject || subject->empty() || subject->size() > limits::kSubjectBytesMax)
        return no_sense("member_session.member_id");
    if (!organization || !is_organization_id(*organization))
        return no_sense("member_session.organization_id");
    if (!expires) return no_sense("member_session.expires_at");
    if (text_in(member, "status") != "active") return std::optional<Identity>();
    Identity out{*subject, {{*organization, {}}}, *expires};
    out.memberships[0].roles = texts_in(session, "roles").value_or(std::vector<std::string>());
    return std::optional(std::move(out));
}

}  // namespace export_worker::auth
