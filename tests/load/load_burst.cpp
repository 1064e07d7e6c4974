// load_burst ENDPOINT < requests: sends all of them at once and prints how long each took.
//
// A request is its length (4 bytes, little endian) and its bytes. Lines on standard output, in the
// order of the replies: the request's id, milliseconds from its send to its reply, "ok" or "error".
// Exit status: 0 when every reply came within a minute.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <unordered_map>
#include <vector>

#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"
#include "protocol/transport/client.hpp"

namespace {

using namespace export_worker;
using Clock = std::chrono::steady_clock;

struct Request {
    std::string id;
    std::string bytes;
    Clock::time_point sent;
};

std::vector<Request> read_requests() {
    std::vector<Request> out;
    std::uint32_t length = 0;
    while (std::cin.read(reinterpret_cast<char*>(&length), sizeof length)) {
        Request request;
        request.bytes.resize(length);
        std::cin.read(request.bytes.data(), length);
        const auto decoded = message::decode_request(request.bytes);
        if (!decoded) return {};
        request.id = decoded->id;
        out.push_back(std::move(request));
    }
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    std::vector<Request> requests = read_requests();
    auto client = argc == 2 ? transport::Client::open(argv[1])
                            : Result<transport::Client>(fail(ErrorCode::kInvalidArgument, "usage"));
    if (requests.empty() || !client || !client->wait_connected(std::chrono::seconds(5))) {
        std::fprintf(stderr, "load_burst: expected ENDPOINT, a daemon there, and requests\n");
        return 1;
    }
    std::unordered_map<std::string, Request*> in_flight;
    for (Request& request : requests) in_flight.emplace(request.id, &request);
    const Clock::time_point end = Clock::now() + std::chrono::minutes(1);
    for (Request& request : requests) {
        request.sent = Clock::now();
        if (!client->send(request.bytes)) return 1;
    }
    std::string report;
    while (!in_flight.empty() && Clock::now() < end) {
        while (const auto reply = client->receive()) {
            const Clock::time_point now = Clock::now();
            const auto decoded = message::decode_reply(*reply);
            const auto found = decoded ? in_flight.find(std::string(decoded->id)) : in_flight.end();
            if (found == in_flight.end()) return 1;
            const std::chrono::duration<double, std::milli> taken = now - found->second->sent;
            report += found->first + " " + std::to_string(taken.count()) +
                      (decoded->ok ? " ok\n" : " error\n");
            in_flight.erase(found);
        }
        client->wait(std::chrono::milliseconds(100), -1);
    }
    std::fputs(report.c_str(), stdout);
    return in_flight.empty() ? 0 : 1;
}
