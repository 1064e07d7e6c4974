// Mints links through a running daemon until it is told to stop, and writes down every answer:
//   load_mint ENDPOINT KEY JOB CONNECTIONS IN_FLIGHT OUTPUT [RATE]
//
// Each connection is a DEALER on its own thread with a fixed number of requests in flight; with a
// RATE (1 to 1000) it sends so many a second, and IN_FLIGHT is the most that wait. Stops
// when stdin ends, after the last answer. OUTPUT gets one record per answer: when it came
// (CLOCK_MONOTONIC, ns), how long it took (ns), and which generation answered; three 64-bit
// numbers. An answer that is no result, that comes twice or that nobody asked for, and an answer
// that does not come within 20 s, is an error; the last line of stdout counts them.
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"
#include "protocol/transport/client.hpp"

namespace {

using namespace export_worker;
using Clock = std::chrono::steady_clock;

struct Record {
    std::int64_t at_ns;
    std::int64_t took_ns;
    std::int64_t generation;
};

struct Outcome {
    std::vector<Record> records;
    std::uint64_t errors = 0;
};

std::int64_t as_ns(Clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

std::string encode(const std::string& id, const std::string& authorization,
                   const std::string& params) {
    message::Request request;
    request.id = id;
    request.method = "download_url.get";
    request.deadline_ms = 10'000;
    request.credentials.authorization = authorization;
    request.params = params;
    return message::encode_request(request);
}

void complain(const std::string& what) {
    std::fprintf(stderr, "load_mint: %s\n", what.c_str());
}

struct Load {
    std::size_t in_flight = 1;
    Clock::duration pause{0};  // Between two requests of a connection.
};

Outcome run(const char* endpoint, const std::string& key, const std::string& job, const Load& load,
            const std::atomic<bool>& stopping) {
    Outcome out;
    auto client = transport::Client::open(endpoint);
    if (!client || !client->wait_connected(std::chrono::seconds(5))) {
        complain("no daemon");
        out.errors = 1;
        return out;
    }
    const std::string params =
        "\x81\xa6job_id\xd9" + std::string(1, static_cast<char>(job.size())) + job;
    const std::string authorization = "Bearer " + key;
    std::unordered_map<std::string, Clock::time_point> asked;
    std::uint64_t next = 0;
    Clock::time_point last_answer = Clock::now();
    Clock::time_point next_send = last_answer;
    while (!stopping.load() || !asked.empty()) {
        while (!stopping.load() && asked.size() < load.in_flight && Clock::now() >= next_send) {
            const std::string id = std::to_string(next);
            if (!client->send(encode(id, authorization, params))) break;
            asked.emplace(id, Clock::now());
            ++next;
            next_send += load.pause;
        }
        client->wait(std::chrono::milliseconds(load.pause.count() > 0 ? 1 : 100), -1);
        while (auto reply = client->receive()) {
            const Clock::time_point now = last_answer = Clock::now();
            const auto decoded = message::decode_reply(*reply);
            const auto question = decoded ? asked.find(std::string(decoded->id)) : asked.end();
            if (question == asked.end()) {
                complain("an answer nobody asked for, or a second one");
                ++out.errors;
                continue;
            }
            if (!decoded->ok || !decoded->served_by) {
                complain("refused: " + decoded->error.message);
                ++out.errors;
            } else {
                out.records.push_back({as_ns(now), as_ns(now) - as_ns(question->second),
                                       static_cast<std::int64_t>(decoded->served_by->generation)});
            }
            asked.erase(question);
        }
        if (Clock::now() - last_answer > std::chrono::seconds(20)) {
            complain(std::to_string(asked.size()) + " requests without an answer");
            out.errors += asked.size();
            break;
        }
    }
    return out;
}

}  // namespace

int main(int argc, char** argv) {
    const int rate = argc == 8 ? std::atoi(argv[7]) : 0;
    if (argc < 7 || argc > 8 || (argc == 8 && (rate < 1 || rate > 1000))) {
        std::fprintf(stderr,
                     "usage: load_mint ENDPOINT KEY JOB CONNECTIONS IN_FLIGHT OUTPUT [RATE]\n");
        return 64;
    }
    Load load{static_cast<std::size_t>(std::atoi(argv[5]))};
    if (rate > 0) load.pause = std::chrono::nanoseconds(1'000'000'000 / rate);
    const auto connections = static_cast<std::size_t>(std::atoi(argv[4]));
    std::atomic<bool> stopping{false};
    std::vector<Outcome> outcomes(connections);
    std::vector<std::thread> threads;
    for (std::size_t index = 0; index < connections; ++index) {
        threads.emplace_back(
            [&, index] { outcomes[index] = run(argv[1], argv[2], argv[3], load, stopping); });
    }
    std::array<char, 64> ignored{};
    while (::read(STDIN_FILENO, ignored.data(), ignored.size()) > 0) {
    }
    stopping = true;
    for (std::thread& thread : threads) thread.join();
    std::FILE* const file = std::fopen(argv[6], "wb");
    if (file == nullptr) return 73;
    std::uint64_t errors = 0;
    std::uint64_t answers = 0;
    for (const Outcome& outcome : outcomes) {
        errors += outcome.errors;
        answers += outcome.records.size();
        (void)std::fwrite(outcome.records.data(), sizeof(Record), outcome.records.size(), file);
    }
    (void)std::fclose(file);
    std::printf("{\"answers\": %llu, \"errors\": %llu}\n", static_cast<unsigned long long>(answers),
                static_cast<unsigned long long>(errors));
    return errors == 0 ? 0 : 1;
}
