#include "tests/unit/support/postgres_server.hpp"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <thread>
#include <vector>

#include "tests/unit/support/skips.hpp"

namespace export_worker::testing {
namespace {

constexpr const char* kPrograms = "/usr/lib/postgresql/15/bin";
constexpr std::chrono::seconds kStopMax{10};

struct User {
    uid_t uid;
    gid_t gid;
};

// Whose processes the server's are; nullopt: this process's. It refuses to run as root.
std::optional<User> server_user() {
    if (::geteuid() != 0) return std::nullopt;
    for (const char* name : {"postgres", "nobody"}) {
        if (const passwd* found = ::getpwnam(name)) return User{found->pw_uid, found->pw_gid};
    }
    return std::nullopt;
}

// Starts it with its output in `log`. It gets `signal` when this process ends.
pid_t spawn(const std::vector<std::string>& words, const std::string& log, int signal) {
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const std::optional<User> user = server_user();
    const pid_t parent = ::getpid();
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    // From here on only what a child of a program with threads may call.
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    if (user &&
        (::setgroups(0, nullptr) != 0 || ::setgid(user->gid) != 0 || ::setuid(user->uid) != 0))
        ::_exit(126);
    // After the change of user, which would forget it.
    ::prctl(PR_SET_PDEATHSIG, signal);
    if (::getppid() != parent) ::_exit(126);
    ::execv(arguments[0], arguments.data());
    ::_exit(127);
}

// What the supervisor does, with only what a child of a program with threads may call: has the
// server run until `life` ends, whose other end the tests' process has.
[[noreturn]] void supervise(char* const* words, const std::optional<User>& user, int life) {
    const pid_t supervisor = ::getpid();
    const pid_t server = ::fork();
    if (server == 0) {
        if (user &&
            (::setgroups(0, nullptr) != 0 || ::setgid(user->gid) != 0 || ::setuid(user->uid) != 0))
            ::_exit(126);
        ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
        if (::getppid() != supervisor) ::_exit(126);
        ::execv(words[0], words);
        ::_exit(127);
    }
    constexpr int kLookMs = 50;
    constexpr int kLooksMax = 200;
    int status = 0;
    pollfd end{life, POLLIN, 0};
    while (::poll(&end, 1, kLookMs) == 0) {
        if (::waitpid(server, &status, WNOHANG) != 0) ::_exit(1);
    }
    // Without the checkpoint of an orderly end: the cluster goes with it.
    ::kill(server, SIGQUIT);
    for (int looks = 0; ::waitpid(server, &status, WNOHANG) == 0; ++looks) {
        if (looks == kLooksMax) ::kill(server, SIGKILL);
        ::poll(nullptr, 0, kLookMs);
    }
    ::_exit(0);
}

// False: it has not ended in time.
bool wait_for_end(pid_t pid, std::chrono::milliseconds most, int& status) {
    const auto end = std::chrono::steady_clock::now() + most;
    while (::waitpid(pid, &status, WNOHANG) == 0) {
        if (std::chrono::steady_clock::now() >= end) return false;
        // sleep: between two looks
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return true;
}

}  // namespace

PostgresServer* PostgresServer::get(std::string& why_not) {
    static PostgresServer* server = nullptr;
    if (left_out("postgresql")) {
        why_not = std::string(kLeftOut) + "postgresql";
        return nullptr;
    }
    if (!std::filesystem::exists(std::string(kPrograms) + "/initdb")) {
        why_not = std::string(kPrograms) + "/initdb is missing; install postgresql-15";
        return nullptr;
    }
    if (server == nullptr) {
        server = new PostgresServer;
        // A child that exits is no owner: some tests are about plugins that call exit().
        static const pid_t owner = ::getpid();
        std::atexit([] {
            if (::getpid() == owner) delete server;
        });
        server->start(kPrograms);
    }
    return server;
}

void PostgresServer::start(const std::string& programs) {
    if (const auto user = server_user()) {
        ASSERT_EQ(::chown(dir_.path().c_str(), user->uid, user->gid), 0);
    }
    const std::string data = dir_ / "data";
    const std::string log = dir_ / "log";
    int status = -1;
    const pid_t made = spawn({programs + "/initdb", "-D", data, "-U", "postgres", "-A", "trust",
                              "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"},
                             log, SIGKILL);
    ASSERT_TRUE(wait_for_end(made, std::chrono::seconds(60), status));
    ASSERT_EQ(status, 0) << read_text(log);
    start_server({programs + "/postgres", "-D", data, "-k", dir_.path(), "-c",
                  "listen_addresses=", "-c", "fsync=off", "-c", "autovacuum=off", "-c",
                  "max_connections=100", "-c", "shared_buffers=64MB"},
                 log);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!answers()) {
        ASSERT_LT(std::chrono::steady_clock::now(), end) << read_text(log);
        ASSERT_FALSE(has_ended(std::chrono::milliseconds(20))) << read_text(log);
    }
}

// No child of this process: the tests of plugins look for processes that a plugin has left.
void PostgresServer::start_server(const std::vector<std::string>& words, const std::string& log) {
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    const std::optional<User> user = server_user();
    std::array<int, 2> life{};
    std::array<int, 2> ended{};
    ASSERT_EQ(::pipe2(life.data(), O_CLOEXEC), 0);
    ASSERT_EQ(::pipe2(ended.data(), O_CLOEXEC), 0);
    const pid_t between = ::fork();
    if (between == 0) {
        if (::fork() != 0) ::_exit(0);
        const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        ::dup2(out, STDOUT_FILENO);
        ::dup2(out, STDERR_FILENO);
        ::close(life[1]);
        ::close(ended[0]);
        supervise(arguments.data(), user, life[0]);
    }
    ::close(life[0]);
    ::close(ended[1]);
    life_.reset(life[1]);
    ended_.reset(ended[0]);
    int status = 0;
    ASSERT_TRUE(wait_for_end(between, kStopMax, status));
}

bool PostgresServer::has_ended(std::chrono::milliseconds most) const {
    pollfd end{ended_.get(), POLLIN, 0};
    return ::poll(&end, 1, static_cast<int>(most.count())) != 0;
}

bool PostgresServer::answers() const {
    return postgres::Connection::open(
               {.conninfo = "host=" + dir_.path() + " user=postgres dbname=postgres"})
        .has_value();
}

PostgresServer::~PostgresServer() {
    if (!life_) return;
    life_.reset();
    (void)has_ended(2 * kStopMax);
}

postgres::DatabaseOptions PostgresServer::new_schema() {
    return {.connect = {.conninfo = "host=" + directory() + " user=postgres dbname=postgres",
                        .schema = "test_" + std::to_string(++schemas_)}};
}

void PostgresServer::end_sessions(const postgres::DatabaseOptions& options,
                                  const std::string& name) {
    auto connection = postgres::Connection::open(options.connect);
    ASSERT_TRUE(connection) << connection.error().message;
    const auto ended = (*connection)
                           ->query(
                               "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                               "WHERE application_name = $1 AND pid <> pg_backend_pid()",
                               name);
    ASSERT_TRUE(ended) << ended.error().message;
}

}  // namespace export_worker::testing
