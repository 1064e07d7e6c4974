#include "daemon/auth/jwks_source.hpp"

#include <fcntl.h>

#include <algorithm>

#include "base/io.hpp"
#include "base/log.hpp"
#include "base/shared_limits.hpp"
#include "base/this_thread.hpp"
#include "base/unique_fd.hpp"
#include "daemon/auth/back_off.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {
namespace {

Result<void> replace_file(const std::string& path, std::string_view text) {
    const std::string part = path + ".part";
    {
        const UniqueFd fd(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
        if (!fd) return fail(errno_error("create " + part, errno));
        EW_CHECK(write_all(fd.get(), text, part));
    }
    return publish_file(part, path);
}

}  // namespace

Result<Jwks> read_keys(const std::string& path) {
    EW_TRY(const std::string text, read_trusted_file(path, limits::kJwksBytesMax));
    auto keys = Jwks::parse(text);
    if (!keys) return fail(keys.error().code, path + ": " + keys.error().message);
    return keys;
}

Result<std::unique_ptr<JwksSource>> JwksSource::open(const model::AuthSettings& settings,
                                                     const Clock& clock,
                                                     std::function<void()> changed) {
    std::unique_ptr<JwksSource> out(new JwksSource(settings, clock, std::move(changed)));
    if (!settings.jwks_file.empty()) {
        out->file_stamp_ = file_version(settings.jwks_file);
        auto keys = read_keys(settings.jwks_file);
        if (keys) {
            out->keys_ = std::make_shared<const Jwks>(std::move(*keys));
            out->seen_us_ = clock.unix_us();
        } else if (settings.jwks_url.empty() ||
                   keys.error().code == ErrorCode::kFailedPrecondition) {
            return fail(keys.error());
        }
    }
    out->thread_ = std::thread([source = out.get()] { source->run(); });
    return out;
}

JwksSource::JwksSource(const model::AuthSettings& settings, const Clock& clock,
                       std::function<void()> changed)
    : settings_(settings), clock_(clock), changed_(std::move(changed)), client_(&stopping_) {}

JwksSource::~JwksSource() {
    stopping_.store(true);
    { const std::lock_guard lock(mutex_); }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
}

std::shared_ptr<const Jwks> JwksSource::keys() const {
    const std::lock_guard lock(mutex_);
    return keys_;
}

std::string JwksSource::problem() const {
    const std::lock_guard lock(mutex_);
    return file_problem_.empty() ? url_problem_ : file_problem_;
}

std::int64_t JwksSource::seen_us() const {
    const std::lock_guard lock(mutex_);
    return seen_us_;
}

void JwksSource::miss_key() {
    {
        const std::lock_guard lock(mutex_);
        missed_ = true;
    }
    wake_.notify_one();
}

void JwksSource::run() {
    name_this_thread("jwks");
    SteadyTime due{};      // The next fetch in any case.
    SteadyTime soonest{};  // The next one when a key is missing.
    bool missed = false;
    for (;;) {
        look_at_file();
        const SteadyTime now = clock_.steady();
        if (!settings_.jwks_url.empty() && now >= (missed ? soonest : due)) {
            fetch();
            missed = false;
            // After a failure, too: whoever cannot answer is not helped by being asked more often.
            soonest = clock_.steady() + std::max(limits::kJwksRefreshSoonest, back_off_);
            due = url_problem_.empty() ? clock_.steady() + settings_.jwks_refresh : soonest;
        }
        std::unique_lock lock(mutex_);
        wake_.wait_for(lock, clock_.block_for(limits::kAuthFilesInterval),
                       [this] { return stopping_.load() || missed_; });
        if (stopping_.load()) return;
        missed = std::exchange(missed_, false) || missed;
    }
}

void JwksSource::look_at_file() {
    if (settings_.jwks_file.empty()) return;
    std::string stamp = file_version(settings_.jwks_file);
    if (stamp == file_stamp_) return;
    file_stamp_ = std::move(stamp);
    auto keys = read_keys(settings_.jwks_file);
    {
        const std::lock_guard lock(mutex_);
        file_problem_ = keys ? "" : keys.error().message;
        if (keys) seen_us_ = clock_.unix_us();
    }
    if (!keys) {
        log_error("{}; the keys before go on verifying", keys.error().message);
        return;
    }
    set_keys(std::move(*keys));
}

void JwksSource::fetch() {
    const auto fetched = fetch_keys();
    const std::string problem =
        fetched ? "" : "fetch " + settings_.jwks_url + ": " + fetched.error().message;
    if (!problem.empty() && problem != url_problem_)
        log_error("{}; the keys before go on verifying", problem);
    if (problem.empty() && !url_problem_.empty()) log_info("{}: reachable", settings_.jwks_url);
    const std::lock_guard lock(mutex_);
    url_problem_ = problem;
    if (fetched) seen_us_ = clock_.unix_us();
}

Result<void> JwksSource::fetch_keys() {
    http::HttpRequest request;
    request.url = settings_.jwks_url;
    request.ca_file = settings_.ca_file;
    request.timeout = limits::kSessionAskTimeout;
    request.answer_bytes_max = limits::kJwksBytesMax;
    back_off_ = std::chrono::seconds(0);
    EW_TRY(http::HttpAnswer answer, client_.send(request));
    if (answer.status == 429) back_off_ = back_off_of(answer.header("retry-after"));
    if (answer.status != 200)
        return fail(ErrorCode::kUnavailable,
                    "expected status 200, found " + std::to_string(answer.status));
    if (answer.body == text_) return {};
    EW_TRY(Jwks keys, Jwks::parse(answer.body));
    if (!settings_.jwks_file.empty()) {
        EW_CHECK(replace_file(settings_.jwks_file, answer.body));
        file_stamp_ = file_version(settings_.jwks_file);
    }
    text_ = std::move(answer.body);
    set_keys(std::move(keys));
    return {};
}

void JwksSource::set_keys(Jwks keys) {
    log_info("sessions: {} keys", keys.size());
    {
        const std::lock_guard lock(mutex_);
        keys_ = std::make_shared<const Jwks>(std::move(keys));
    }
    changed_();
}

}  // namespace export_worker::auth
