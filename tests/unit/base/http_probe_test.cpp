#include "base/http_probe.hpp"

#include <gtest/gtest.h>

#include "base/unix_socket.hpp"
#include "tests/unit/support/http_server.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HttpServer;

std::string where(const HttpServer& server) {
    return server.url().substr(std::string_view("http://").size());
}

HttpServer::Response answer_with(int status, const std::string& body) {
    HttpServer::Response out;
    out.status = status;
    out.body = body;
    return out;
}

TEST(HttpProbe, SaysStatusAndBody) {
    const HttpServer server([](const HttpServer::Request& request) {
        return answer_with(404, "nothing at " + request.target);
    });
    const auto answer = http_get(where(server), "/a?b", seconds(20));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 404);
    EXPECT_EQ(answer->body, "nothing at /a?b");
}

TEST(HttpProbe, KnowsAnExportHttpd) {
    const HttpServer shim(
        [](const HttpServer::Request&) { return answer_with(200, R"({"status":"alive"})"); });
    const HttpServer other(
        [](const HttpServer::Request&) { return answer_with(200, "It works!"); });
    EXPECT_EQ(who_listens(where(shim), seconds(20)), Listener::kExportHttpd);
    EXPECT_EQ(who_listens(where(other), seconds(20)), Listener::kOther);
}

TEST(HttpProbe, EndsWhenNobodyAnswers) {
    const testing::TempDir dir;
    const std::string path = dir.path() + "/silent.sock";
    const auto listener = listen_on_unix(path, 0600);
    ASSERT_TRUE(listener);
    const auto answer = http_get("unix:" + path, "/", milliseconds(30));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, ErrorCode::kDeadlineExceeded);
    EXPECT_EQ(who_listens("unix:" + path, milliseconds(30)), Listener::kSilent);
}

TEST(HttpProbe, TellsWhatIsNotThereFromWhatIsNoHttp) {
    const testing::TempDir dir;
    EXPECT_EQ(http_get("unix:" + dir.path() + "/none", "/", seconds(20)).error().code,
              ErrorCode::kUnavailable);
    const HttpServer rude([](const HttpServer::Request&) {
        HttpServer::Response out;
        out.hang_up = true;
        return out;
    });
    EXPECT_EQ(http_get(where(rude), "/", seconds(20)).error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(http_get("localhost:80", "/", seconds(20)).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace export_worker
