#include "tests/unit/support/postgres_server.hpp"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

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
    pid_ = spawn({programs + "/postgres", "-D", data, "-k", dir_.path(), "-c",
                  "listen_addresses=", "-c", "fsync=off", "-c", "autovacuum=off", "-c",
                  "max_connections=100", "-c", "shared_buffers=64MB"},
                 log, SIGQUIT);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!answers()) {
        ASSERT_LT(std::chrono::steady_clock::now(), end) << read_text(log);
        ASSERT_EQ(::waitpid(pid_, &status, WNOHANG), 0) << read_text(log);
        // sleep: between two looks
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
}

bool PostgresServer::answers() const {
    return postgres::Connection::open(
               {.conninfo = "host=" + dir_.path() + " user=postgres dbname=postgres"})
        .has_value();
}

PostgresServer::~PostgresServer() {
    if (pid_ < 0) return;
    int status = 0;
    // Without the checkpoint of an orderly end: the cluster goes with it.
    for (const int signal : {SIGQUIT, SIGKILL}) {
        ::kill(pid_, signal);
        if (wait_for_end(pid_, kStopMax, status)) return;
    }
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
