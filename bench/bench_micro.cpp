// The steps of minting a link, one by one.
#include <benchmark/benchmark.h>

#include "protocol/message/download_url.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"
#include "signing/local_link.hpp"
#include "signing/s3_presign.hpp"

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
    for (auto _ : state) benchmark::DoNotOptimize(message::decode_request(bytes));
}
BENCHMARK(decode_request);

void encode_reply(benchmark::State& state) {
    std::string result;
    std::string reply;
    const message::ServedBy served_by{"download_url", "1.0.0", 1,
                                      "344b0fea600d1f9c4af18202e3ae6f8abda414e9"};
    for (auto _ : state) {
        message::encode_download_url_result(
            result,
            {"https://downloads.example.com/exports/acme/1.csv?sig=x", "products.csv", 900});
        message::encode_result(reply, "0123456789abcdef", result, &served_by);
        benchmark::DoNotOptimize(reply.data());
    }
}
BENCHMARK(encode_reply);

void sign_local(benchmark::State& state) {
    const signing::LocalLinkRequest request{"https://downloads.example.com",
                                            "acme/01a20a70-bd2c-759b-a590-1b6fd44efa16.1.csv",
                                            "k1",
                                            "0123456789abcdef0123456789abcdef",
                                            1795473061,
                                            "products-2026-11-23.csv"};
    for (auto _ : state) benchmark::DoNotOptimize(signing::sign_local_link(request));
}
BENCHMARK(sign_local);

signing::S3PresignRequest s3_request() {
    signing::S3PresignRequest request;
    request.bucket = "merchant-exports";
    request.key = "acme/01a20a70-bd2c-759b-a590-1b6fd44efa16.1.csv";
    request.region = "eu-central-1";
    request.access_key_id = "AKIAIOSFODNN7EXAMPLE";
    request.unix_s = 1795473061;
    request.expires_seconds = 900;
    request.query = {
        {"response-content-disposition", "attachment; filename=\"products-2026-11-23.csv\""}};
    return request;
}

void presign_s3_cached_key(benchmark::State& state) {
    const auto request = s3_request();
    const auto key = signing::derive_sigv4_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                               "20261123", "eu-central-1", "s3");
    for (auto _ : state) benchmark::DoNotOptimize(signing::presign_s3(request, key));
}
BENCHMARK(presign_s3_cached_key);

void presign_s3_fresh_key(benchmark::State& state) {
    const auto request = s3_request();
    for (auto _ : state) {
        const auto key = signing::derive_sigv4_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                                                   "20261123", "eu-central-1", "s3");
        benchmark::DoNotOptimize(signing::presign_s3(request, key));
    }
}
BENCHMARK(presign_s3_fresh_key);

}  // namespace

BENCHMARK_MAIN();
