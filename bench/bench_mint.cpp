// Mints links through a running daemon: bench_mint ENDPOINT KEY JOB [IN_FLIGHT] [REQUESTS]
//
// One DEALER connection with a fixed number of requests in flight; prints the rate and the latency
// of each request from send to reply. Every reply is checked to be a result.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"
#include "protocol/transport/client.hpp"

namespace {

using namespace export_worker;
using Clock = std::chrono::steady_clock;

std::string make_request(const std::string& id, const std::string& key, const std::string& job) {
    const std::string params =
        "\x81\xa6job_id\xd9" + std::string(1, static_cast<char>(job.size())) + job;
    const std::string authorization = "Bearer " + key;
    message::Request request;
    request.id = id;
    request.method = "download_url.get";
    request.deadline_ms = 10000;
    request.credentials.authorization = authorization;
    request.params = params;
    return message::encode_request(request);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 4) {
        std::fprintf(stderr, "usage: bench_mint ENDPOINT KEY JOB [IN_FLIGHT] [REQUESTS]\n");
        return 64;
    }
    const auto in_flight_max = static_cast<std::size_t>(argc > 4 ? std::atoi(argv[4]) : 32);
    const auto requests = static_cast<std::size_t>(argc > 5 ? std::atoi(argv[5]) : 100000);
    auto client = transport::Client::open(argv[1]);
    if (!client || !client->wait_connected(std::chrono::seconds(2))) {
        std::fprintf(stderr, "no daemon at %s\n", argv[1]);
        return 69;
    }
    std::vector<Clock::time_point> sent(requests);
    std::vector<double> latency_us;
    latency_us.reserve(requests);
    std::size_t next = 0;
    const auto started = Clock::now();
    while (latency_us.size() < requests) {
        while (next < requests && next - latency_us.size() < in_flight_max) {
            sent[next] = Clock::now();
            if (!client->send(make_request(std::to_string(next), argv[2], argv[3]))) break;
            ++next;
        }
        client->wait(std::chrono::milliseconds(100), -1);
        while (auto reply = client->receive()) {
            const auto decoded = message::decode_reply(*reply);
            if (!decoded || !decoded->ok) {
                std::fprintf(stderr, "refused: %s\n",
                             decoded ? decoded->error.message.c_str() : "unreadable");
                return 1;
            }
            const auto index = std::strtoul(std::string(decoded->id).c_str(), nullptr, 10);
            latency_us.push_back(
                std::chrono::duration<double, std::micro>(Clock::now() - sent[index]).count());
        }
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
    std::sort(latency_us.begin(), latency_us.end());
    std::printf("%zu links, %zu in flight: %.0f/s, p50 %.0f us, p99 %.0f us\n", requests,
                in_flight_max, static_cast<double>(requests) / seconds, latency_us[requests / 2],
                latency_us[requests * 99 / 100]);
    return 0;
}
