// The steps of minting a link, one by one.
#include <benchmark/benchmark.h>

#include "protocol/message/download_url.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"

namespace {

using namespace export_worker;

std::string request_bytes() {
    message::Request request;
    request.id = "0123456789abcdef";
    request.method = message::kDownloadUrlMethod;
    request.deadline_ms = 10000;
    request.credentials.authorization =
        "Bearer "
        "mo_0123456789abcdef_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    request.params = "\x81\xa6job_id\xd9$01a20a70-bd2c-759b-a590-1b6fd44efa16";
    return message::encode_request(request);
}

void decode_request(benchmark::State& state) {
    const std::string bytes = request_bytes();
    for ([[maybe_unused]] auto _ : state) benchmark::DoNotOptimize(message::decode_request(bytes));
}
BENCHMARK(decode_request);

void encode_reply(benchmark::State& state) {
    std::string result;
    std::string reply;
    const message::ServedBy served_by{"download_url", "1.0.0", 1,
                                      "344b0fea600d1f9c4af18202e3ae6f8abda414e9"};
    for ([[maybe_unused]] auto _ : state) {
        message::encode_download_url_result(
            result,
            {"https://downloads.example.com/exports/acme/1.csv?sig=x", "products.csv", 900, {}});
        message::encode_result(reply, "0123456789abcdef", result, &served_by);
        benchmark::DoNotOptimize(reply.data());
    }
}
BENCHMARK(encode_reply);

}  // namespace

BENCHMARK_MAIN();
