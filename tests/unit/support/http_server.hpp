// A small HTTP server on loopback that does what a test tells it to, misbehaviour included.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"

namespace export_worker::testing {

class HttpServer {
public:
    struct Request {
        std::string method;
        std::string target;
        std::map<std::string, std::string> headers;  // Names in lower case.
        std::string body;
    };
    struct Response {
        int status = 200;
        std::string body;
        std::vector<std::pair<std::string, std::string>> headers;
        bool hang_up = false;                // No answer at all.
        std::chrono::milliseconds delay{0};  // Before the answer.
    };
    using Handler = std::function<Response(const Request&)>;

    explicit HttpServer(Handler handler) : handler_(std::move(handler)) {
        listener_ = UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* generic = reinterpret_cast<sockaddr*>(&address);
        if (::bind(listener_.get(), generic, size) != 0 || ::listen(listener_.get(), 16) != 0 ||
            ::getsockname(listener_.get(), generic, &size) != 0)
            std::abort();
        port_ = ntohs(address.sin_port);
        thread_ = std::thread([this] { run(); });
    }
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;
    ~HttpServer() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        stopped_.notify_all();
        (void)::shutdown(listener_.get(), SHUT_RDWR);  // Wakes the poll.
        thread_.join();
    }

    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    std::vector<Request> requests() const {
        const std::lock_guard lock(mutex_);
        return requests_;
    }

private:
    void run() {
        while (!stopping_) {
            pollfd waiting{listener_.get(), POLLIN, 0};
            if (::poll(&waiting, 1, -1) <= 0) continue;
            const UniqueFd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (peer) serve(peer.get());
        }
    }

    // One request a connection.
    void serve(int fd) {
        std::string text;
        Request request;
        std::size_t head = std::string::npos;
        std::size_t length = 0;
        for (;;) {
            if (head == std::string::npos && (head = text.find("\r\n\r\n")) != std::string::npos) {
                parse(text.substr(0, head + 2), request);
                const auto found = request.headers.find("content-length");
                if (found != request.headers.end()) length = std::stoul(found->second);
            }
            if (head != std::string::npos && text.size() >= head + 4 + length) break;
            char chunk[16384];
            const ssize_t got = ::recv(fd, chunk, sizeof chunk, 0);
            if (got <= 0) return;
            text.append(chunk, static_cast<std::size_t>(got));
        }
        request.body = text.substr(head + 4, length);
        {
            const std::lock_guard lock(mutex_);
            requests_.push_back(request);
        }
        const Response response = handler_(request);
        {
            std::unique_lock lock(mutex_);
            stopped_.wait_for(lock, response.delay, [this] { return stopping_.load(); });
        }
        if (response.hang_up) return;
        std::string out =
            "HTTP/1.1 " + std::to_string(response.status) + " X\r\nConnection: close\r\n";
        bool sized = false;
        for (const auto& [name, value] : response.headers) {
            out += name + ": " + value + "\r\n";
            sized = sized || name == "Content-Length";
        }
        if (!sized) out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
        out += "\r\n";
        if (request.method != "HEAD") out += response.body;
        (void)::send(fd, out.data(), out.size(), MSG_NOSIGNAL);
    }

    static void parse(const std::string& head, Request& request) {
        std::size_t begin = head.find("\r\n");
        const std::string line = head.substr(0, begin);
        request.method = line.substr(0, line.find(' '));
        const std::size_t target = request.method.size() + 1;
        request.target = line.substr(target, line.find(' ', target) - target);
        for (begin += 2; begin < head.size();) {
            const std::size_t end = head.find("\r\n", begin);
            const std::string field = head.substr(begin, end - begin);
            const std::size_t colon = field.find(':');
            std::string name = field.substr(0, colon);
            for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
            const std::size_t value = field.find_first_not_of(' ', colon + 1);
            request.headers[name] = value == std::string::npos ? "" : field.substr(value);
            begin = end + 2;
        }
    }

    const Handler handler_;
    UniqueFd listener_;
    int port_ = 0;
    std::atomic<bool> stopping_{false};
    mutable std::mutex mutex_;
    std::condition_variable stopped_;
    std::vector<Request> requests_;
    std::thread thread_;
};

}  // namespace export_worker::testing
