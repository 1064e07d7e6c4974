// The sources AWS's own tools know, in their order. Source: AWS SDKs and Tools Reference Guide,
// "Standardized credential providers", "Container credential provider", "IMDS credential provider",
// "AssumeRole credential provider".
#include <algorithm>
#include <array>

#include "base/io.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/credentials/credential_source.hpp"
#include "daemon/credentials/limits.hpp"
#include "daemon/credentials/parse.hpp"
#include "daemon/http_client/http_client.hpp"
#include "daemon/http_client/xml_document.hpp"
#include "signing/endpoint.hpp"
#include "signing/percent_encoding.hpp"

namespace export_worker::credentials {
namespace {

using http::HttpAnswer;
using http::HttpRequest;
using model::StoreSettings;

tl::unexpected<Error> not_set_up(std::string what) {
    return fail(ErrorCode::kFailedPrecondition, std::move(what));
}

std::string first_of(const std::string& configured, const char* variable) {
    return configured.empty() ? environment(variable) : configured;
}

HttpRequest service_request(std::string url, bool direct) {
    HttpRequest out;
    out.url = std::move(url);
    out.timeout = limits::kCredentialTimeout;
    out.connect_timeout = limits::kCredentialTimeout / 2;
    out.answer_bytes_max = limits::kCredentialAnswerBytesMax;
    out.direct = direct;
    return out;
}

Result<HttpAnswer> ask(http::HttpClient& client, const HttpRequest& request,
                       const std::string& who) {
    auto answer = client.send(request);
    if (!answer) return fail(ErrorCode::kUnavailable, who + ": " + answer.error().message);
    if (answer->status != 200) {
        return fail(ErrorCode::kUnavailable,
                    who + ": expected status 200, found " + std::to_string(answer->status));
    }
    return answer;
}

// Says who it was that answered badly.
Result<Credentials> from(const std::string& who, Result<Credentials> parsed) {
    if (!parsed) return fail(parsed.error().code, who + ": " + parsed.error().message);
    return parsed;
}

class EnvironmentSource : public CredentialSource {
public:
    Result<Credentials> fetch() override {
        Credentials out;
        out.key_id = environment("AWS_ACCESS_KEY_ID");
        out.secret = environment("AWS_SECRET_ACCESS_KEY");
        out.session_token = environment("AWS_SESSION_TOKEN");
        if (out.key_id.empty() || out.secret.empty()) {
            return not_set_up(
                "expected the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to be set");
        }
        return out;
    }
    std::string name() const override { return "environment"; }
};

// A profile of the shared credentials file.
class ProfileSource : public CredentialSource {
public:
    ProfileSource(const StoreSettings& store, const Clock& clock)
        : path_(first_of(setting(store, "credentials_file"), "AWS_SHARED_CREDENTIALS_FILE")),
          profile_(first_of(setting(store, "profile"), "AWS_PROFILE")),
          clock_(clock) {
        if (path_.empty()) path_ = environment("HOME") + "/.aws/credentials";
        if (profile_.empty()) profile_ = "default";
    }
    Result<Credentials> fetch() override {
        EW_TRY(const std::string text, read_secret_file(path_, limits::kSecretFileBytesMax));
        return from(path_, parse_profile(text, profile_, clock_));
    }
    std::string name() const override { return "profile"; }
    std::vector<std::string> files() const override { return {path_}; }

private:
    std::string path_;
    std::string profile_;
    const Clock& clock_;
};

class RemoteSource : public CredentialSource {
public:
    RemoteSource(const Clock& clock, const std::atomic<bool>* stopping)
        : clock_(clock), client_(stopping) {}
    bool is_remote() const override { return true; }

protected:
    const Clock& clock_;
    http::HttpClient client_;
};

// A token in a file, exchanged for credentials: IAM roles for service accounts, and the like.
class WebIdentitySource : public RemoteSource {
public:
    WebIdentitySource(const StoreSettings& store, const Clock& clock,
                      const std::atomic<bool>* stopping)
        : RemoteSource(clock, stopping),
          role_(first_of(setting(store, "role_arn"), "AWS_ROLE_ARN")),
          session_(first_of(setting(store, "role_session_name"), "AWS_ROLE_SESSION_NAME")),
          token_file_(
              first_of(setting(store, "web_identity_token_file"), "AWS_WEB_IDENTITY_TOKEN_FILE")),
          endpoint_(first_of(setting(store, "sts_endpoint"), "AWS_ENDPOINT_URL_STS")) {
        if (session_.empty()) session_ = "export-worker";
        const auto region = store.values.find("region");
        if (endpoint_.empty() && region != store.values.end()) {
            endpoint_ =
                "https://sts." + region->second +
                (region->second.starts_with("cn-") ? ".amazonaws.com.cn" : ".amazonaws.com");
        }
    }
    Result<Credentials> fetch() override {
        if (role_.empty() || token_file_.empty()) {
            return not_set_up(
                "expected role_arn and web_identity_token_file, or the variables AWS_ROLE_ARN and "
                "AWS_WEB_IDENTITY_TOKEN_FILE");
        }
        EW_TRY(std::string text, read_file(token_file_, limits::kSecretFileBytesMax));
        const std::string token = without_line_end(std::move(text));
        // In the body: a URL ends up in logs.
        std::string body = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=";
        signing::append_percent_encoded(body, role_);
        body += "&RoleSessionName=";
        signing::append_percent_encoded(body, session_);
        body += "&WebIdentityToken=";
        signing::append_percent_encoded(body, token);
        HttpRequest request = service_request(endpoint_ + "/", false);
        request.method = "POST";
        request.headers = {{"content-type", "application/x-www-form-urlencoded"}};
        request.body = body;
        auto answer = client_.send(request);
        if (!answer) return fail(ErrorCode::kUnavailable, "STS: " + answer.error().message);
        if (answer->status != 200) {
            const auto document = http::XmlElement::parse(answer->body);
            const std::string code = document ? document->text("Error/Code") : "";
            return fail(ErrorCode::kUnavailable, "STS: expected status 200, found " +
                                                     std::to_string(answer->status) + " " +
                                                     printable(code));
        }
        return from("STS", parse_assumed_role(answer->body, clock_));
    }
    std::string name() const override { return "web_identity"; }
    std::vector<std::string> files() const override {
        return token_file_.empty() ? std::vector<std::string>() : std::vector{token_file_};
    }

private:
    std::string role_;
    std::string session_;
    std::string token_file_;
    std::string endpoint_;
};

// ECS and EKS: somebody beside this process hands them out.
class ContainerSource : public RemoteSource {
public:
    using RemoteSource::RemoteSource;

    Result<Credentials> fetch() override {
        const std::string relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        const std::string full = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        if (relative.empty() && full.empty()) {
            return not_set_up(
                "expected one of the variables AWS_CONTAINER_CREDENTIALS_RELATIVE_URI and "
                "AWS_CONTAINER_CREDENTIALS_FULL_URI to be set");
        }
        const std::string url = relative.empty() ? full : "http://169.254.170.2" + relative;
        EW_CHECK(check_host(url));
        HttpRequest request = service_request(url, true);
        std::string token = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        if (const auto paths = files(); !paths.empty()) {
            EW_TRY(std::string text, read_file(paths.front(), limits::kSecretFileBytesMax));
            token = without_line_end(std::move(text));
        }
        if (has_control_characters(token))
            return not_set_up("the container's authorization token: expected one line");
        if (!token.empty()) request.headers.emplace_back("Authorization", token);
        EW_TRY(const HttpAnswer answer, ask(client_, request, "the container's service"));
        return from("the container's service", parse_handed_out(answer.body, clock_));
    }
    std::string name() const override { return "container"; }
    std::vector<std::string> files() const override {
        const std::string path = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        return path.empty() ? std::vector<std::string>() : std::vector{path};
    }

private:
    // The token must not travel in the clear further than this machine and its host.
    static Result<void> check_host(const std::string& url) {
        if (url.starts_with("https://")) return {};
        const std::string_view rest = std::string_view(url).substr(
            std::min<std::size_t>(url.size(), std::string_view("http://").size()));
        const std::string host(rest.substr(0, rest.find_first_of("/?#")));
        const std::string_view name = host.starts_with('[')
                                          ? std::string_view(host).substr(0, host.find(']') + 1)
                                          : std::string_view(host).substr(0, host.find(':'));
        constexpr std::array<std::string_view, 5> kNear{"localhost", "[::1]", "169.254.170.2",
                                                        "169.254.170.23", "[fd00:ec2::23]"};
        const bool loopback =
            name.starts_with("127.") && name.find_first_not_of("0123456789.") == name.npos;
        if (url.starts_with("http://") &&
            (loopback || std::ranges::find(kNear, name) != kNear.end()))
            return {};
        return not_set_up(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI: expected https, or http to this machine or its "
            "container host, found '" +
            printable(url.substr(0, url.find_first_of("?#"))) + "'");
    }
};

// IMDSv2: a session token first, which a forged request cannot get.
class InstanceSource : public RemoteSource {
public:
    InstanceSource(const StoreSettings& store, const Clock& clock,
                   const std::atomic<bool>* stopping)
        : RemoteSource(clock, stopping),
          endpoint_(
              first_of(setting(store, "metadata_endpoint"), "AWS_EC2_METADATA_SERVICE_ENDPOINT")) {
        if (endpoint_.empty()) endpoint_ = "http://169.254.169.254";
        while (endpoint_.ends_with('/')) endpoint_.pop_back();
    }
    Result<Credentials> fetch() override {
        if (signing::to_lower(environment("AWS_EC2_METADATA_DISABLED")) == "true")
            return not_set_up(
                "the instance's metadata is switched off (AWS_EC2_METADATA_DISABLED)");
        const std::string who = "the instance's metadata";
        HttpRequest begin = service_request(endpoint_ + "/latest/api/token", true);
        begin.method = "PUT";
        begin.headers = {{"X-aws-ec2-metadata-token-ttl-seconds", "21600"}};
        EW_TRY(const HttpAnswer token, ask(client_, begin, who));
        if (token.body.empty() || has_control_characters(token.body))
            return fail(ErrorCode::kUnavailable, who + ": expected a token");
        const auto get = [&](const std::string& path) {
            HttpRequest request = service_request(endpoint_ + path, true);
            request.headers = {{"X-aws-ec2-metadata-token", token.body}};
            return ask(client_, request, who);
        };
        const std::string path = "/latest/meta-data/iam/security-credentials/";
        EW_TRY(const HttpAnswer roles, get(path));
        const std::string role = roles.body.substr(0, roles.body.find('\n'));
        if (role.empty()) return fail(ErrorCode::kUnavailable, who + ": the instance has no role");
        EW_TRY(const HttpAnswer answer, get(path + signing::percent_encode(role)));
        return from(who, parse_handed_out(answer.body, clock_));
    }
    std::string name() const override { return "instance"; }

private:
    std::string endpoint_;
};

// The first that is set up; its failures are final, so that a broken one is not hidden by a later.
class DefaultSource : public CredentialSource {
public:
    DefaultSource(const StoreSettings& store, const Clock& clock,
                  const std::atomic<bool>* stopping) {
        chain_.push_back(std::make_unique<EnvironmentSource>());
        chain_.push_back(std::make_unique<WebIdentitySource>(store, clock, stopping));
        chain_.push_back(std::make_unique<ProfileSource>(store, clock));
        chain_.push_back(std::make_unique<ContainerSource>(clock, stopping));
        chain_.push_back(std::make_unique<InstanceSource>(store, clock, stopping));
    }
    Result<Credentials> fetch() override {
        for (const auto& each : chain_) {
            auto credentials = each->fetch();
            const bool next =
                !credentials && (credentials.error().code == ErrorCode::kFailedPrecondition ||
                                 credentials.error().code == ErrorCode::kNotFound);
            if (next && each != chain_.back()) continue;
            used_ = each.get();
            return credentials;
        }
        return not_set_up("no credentials");
    }
    std::string name() const override {
        return used_ == nullptr ? "default" : "default: " + used_->name();
    }
    std::vector<std::string> files() const override {
        return used_ == nullptr ? std::vector<std::string>() : used_->files();
    }
    bool is_remote() const override { return used_ == nullptr || used_->is_remote(); }

private:
    std::vector<std::unique_ptr<CredentialSource>> chain_;
    const CredentialSource* used_ = nullptr;  // Of chain_.
};

}  // namespace

std::unique_ptr<CredentialSource> make_aws_source(const StoreSettings& store, const Clock& clock,
                                                  const std::atomic<bool>* stopping) {
    const std::string& source = store.credentials_source;
    if (source == "environment") return std::make_unique<EnvironmentSource>();
    if (source == "profile") return std::make_unique<ProfileSource>(store, clock);
    if (source == "web_identity")
        return std::make_unique<WebIdentitySource>(store, clock, stopping);
    if (source == "container") return std::make_unique<ContainerSource>(clock, stopping);
    if (source == "instance") return std::make_unique<InstanceSource>(store, clock, stopping);
    return std::make_unique<DefaultSource>(store, clock, stopping);
}

}  // namespace export_worker::credentials
