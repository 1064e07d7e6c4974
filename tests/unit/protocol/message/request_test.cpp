#include "protocol/message/request.hpp"
#include "base/json.hpp"
#include "protocol/message/limits.hpp"

#include <gtest/gtest.h>

#include <msgpack.hpp>

#include "protocol/message/download_url.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/validate.hpp"

namespace export_worker::message {
namespace {

using nlohmann::json;

std::string packed(const json& value) {
    const std::string out = dump_msgpack(value);
    return out;
}
json minimal() {
    return {{"v", 1}, {"method", "sys.ping"}};
}

WireError refusal(const std::string& bytes) {
    const auto request = decode_request(bytes);
    EXPECT_FALSE(request);
    return request ? WireError{} : request.error().error;
}

TEST(DecodeRequest, ReadsEveryFieldInAnyOrder) {
    const json params = {{"job_id", "j"}, {"deep", {{"list", {1, "two", nullptr}}}}};
    const std::string bytes = packed({{"v", 1},
                                      {"id", "r1"},
                                      {"method", "download_url.get"},
                                      {"deadline_ms", 1500},
                                      {"auth",
                                       {{"authorization", "Bearer x"},
                                        {"organization_id", "acme"},
                                        {"session", "s"},
                                        {"new", {1}}}},
                                      {"trace", "t"},
                                      {"params", params},
                                      {"unknown", {{"ignored", true}}}});
    const auto request = decode_request(bytes);
    ASSERT_TRUE(request) << request.error().error.message;
    EXPECT_EQ(request->id, "r1");
    EXPECT_EQ(request->method, "download_url.get");
    EXPECT_EQ(request->deadline_ms, 1500U);
    EXPECT_EQ(request->credentials.authorization, "Bearer x");
    EXPECT_EQ(request->credentials.organization_id, "acme");
    EXPECT_EQ(request->credentials.session, "s");
    EXPECT_EQ(request->trace, "t");
    EXPECT_EQ(parse_msgpack(request->params), params);
}

TEST(DecodeRequest, FindsParamsWhateverHeaderTheNextKeyHas) {
    // The same keys, each string once as str8, str16 and str32 instead of fixstr.
    const auto text = [](const std::string& value, int form) {
        const char size = static_cast<char>(value.size());
        if (form == 0) return std::string(1, static_cast<char>(0xa0 | size)) + value;
        if (form == 1) return std::string("\xd9") + size + value;
        if (form == 2) return std::string("\xda\x00", 2) + size + value;
        return std::string("\xdb\x00\x00\x00", 4) + size + value;
    };
    for (int form = 0; form < 4; ++form) {
        const std::string params = "\x81\xa1k\x07";
        const std::string bytes = "\x83" + text("params", form) + params + text("v", form) +
                                  "\x01" + text("method", form) + text("m.x", form);
        const auto request = decode_request(bytes);
        ASSERT_TRUE(request) << form << request.error().error.message;
        EXPECT_EQ(request->params, params) << form;
    }
}

// Found by fuzzing: the parser hands out a null pointer for an empty string.
TEST(DecodeRequest, RefusesAnEmptyTopLevelKeyButNotOneInParams) {
    json request = minimal();
    request[""] = 1;
    EXPECT_NE(refusal(packed(request)).message.find("empty top-level key"), std::string::npos);
    request = minimal();
    request["params"] = {{"", 1}};
    const std::string bytes = packed(request);
    ASSERT_TRUE(decode_request(bytes));
    EXPECT_EQ(parse_msgpack(decode_request(bytes)->params), request["params"]);
}

TEST(DecodeRequest, SuppliesDefaults) {
    const std::string bytes = packed(minimal());
    const auto request = decode_request(bytes);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->deadline_ms, limits::kDeadlineDefaultMs);
    EXPECT_EQ(request->params, "\x80");
    EXPECT_EQ(request->id, "");
}

TEST(DecodeRequest, RoundTripsWhatEncodeWrites) {
    Request request;
    request.id = "42";
    request.method = "jobs.get";
    request.deadline_ms = 7;
    request.credentials.session = "cookie";
    request.credentials.client_address = "2001:db8::1";
    const std::string bytes = encode_request(request);
    const auto decoded = decode_request(bytes);
    ASSERT_TRUE(decoded);
    EXPECT_EQ(decoded->id, "42");
    EXPECT_EQ(decoded->deadline_ms, 7U);
    EXPECT_EQ(decoded->credentials.session, "cookie");
    EXPECT_EQ(decoded->credentials.client_address, "2001:db8::1");
    EXPECT_EQ(decoded->credentials.authorization, "");
}

TEST(DecodeRequest, RefusesEveryTruncation) {
    const std::string bytes = packed({{"v", 1},
                                      {"id", "r1"},
                                      {"method", "a.b"},
                                      {"params", {{"job_id", "x"}, {"n", {1, 2, 3}}}}});
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        EXPECT_EQ(refusal(bytes.substr(0, size)).code, WireCode::kBadRequest) << size;
    }
    EXPECT_TRUE(decode_request(bytes));
}

TEST(DecodeRequest, RefusesTrailingBytes) {
    const WireError error = refusal(packed(minimal()) + "\xc0");
    EXPECT_EQ(error.code, WireCode::kBadRequest);
    EXPECT_NE(error.message.find("1 trailing bytes"), std::string::npos);
}

TEST(DecodeRequest, RefusesDuplicateKeysAtEveryDepth) {
    EXPECT_NE(refusal("\x83\xa1v\x01\xa1v\x01\xa6method\xa1x").message.find("a key twice"),
              std::string::npos);
    EXPECT_NE(refusal("\x83\xa1v\x01\xa6method\xa1x\xa6params\x82\xa1"
                      "a\x01\xa1"
                      "a\x02")
                  .message.find("a key twice"),
              std::string::npos);
}

TEST(DecodeRequest, RefusesTextThatIsNotUtf8) {
    EXPECT_NE(refusal("\x83\xa1v\x01\xa6method\xa1x\xa1z\xa1\xff").message.find("UTF-8"),
              std::string::npos);
}

TEST(DecodeRequest, RefusesDeepNestingWithoutRecursion) {
    std::string bytes = "\x83\xa1v\x01\xa6method\xa1x\xa1z" + std::string(100'000, '\x91') + "\xc0";
    EXPECT_NE(refusal(bytes).message.find("nesting deeper"), std::string::npos);
    json deep = 1;
    for (std::size_t level = 0; level < limits::kMessageDepthMax - 1; ++level)
        deep = json::array({deep});
    json request = minimal();
    request["z"] = deep;
    EXPECT_TRUE(decode_request(packed(request)));
    request["z"] = json::array({deep});
    EXPECT_FALSE(decode_request(packed(request)));
}

TEST(DecodeRequest, RefusesTooManyNodes) {
    json request = minimal();
    request["z"] = std::vector<int>(limits::kMessageNodesMax, 1);
    EXPECT_NE(refusal(packed(request)).message.find("nodes"), std::string::npos);
}

// docs/wire_protocol.md promises these numbers.
TEST(DecodeRequest, TheBoundsAreTheDocumentedOnes) {
    json request = minimal();  // Five nodes: the map, two keys, two values.
    request["z"] = std::vector<int>(65'536 - 7, 1);
    EXPECT_TRUE(decode_request(packed(request)));
    request["z"] = std::vector<int>(65'536 - 6, 1);
    EXPECT_EQ(refusal(packed(request)).message,
              "request: expected one msgpack map, found more than 65536 nodes");
    request["z"] = {{std::string(128, 'k'), 1}};
    EXPECT_TRUE(decode_request(packed(request)));
    request["z"] = {{std::string(129, 'k'), 1}};
    EXPECT_EQ(refusal(packed(request)).message,
              "request: expected one msgpack map, found a map key longer than 128 bytes");
    for (const auto& [name, most] :
         {std::pair("id", 64), std::pair("method", 64), std::pair("trace", 64)}) {
        json fits = minimal();
        fits[name] = std::string(static_cast<std::size_t>(most), 'x');
        EXPECT_TRUE(decode_request(packed(fits))) << name;
        fits[name] = std::string(static_cast<std::size_t>(most) + 1, 'x');
        EXPECT_EQ(refusal(packed(fits)).message,
                  std::string(name) + ": expected at most 64 bytes, found 65");
    }
    json late = minimal();
    late["deadline_ms"] = 60'000;
    EXPECT_TRUE(decode_request(packed(late)));
    late["deadline_ms"] = 60'001;
    EXPECT_NE(refusal(packed(late)).message.find("at most 60000, found 60001"), std::string::npos);
}

TEST(DecodeRequest, RefusesContainersThatAnnounceMoreThanThereIs) {
    EXPECT_NE(refusal("\xdd\xff\xff\xff\xff").message.find("longer than the message"),
              std::string::npos);
    EXPECT_NE(refusal("\xdf\x7f\xff\xff\xff").message.find("longer than the message"),
              std::string::npos);
}

TEST(DecodeRequest, RefusesOversizeWithItsOwnCode) {
    EXPECT_EQ(refusal(std::string(limits::kRequestBytesMax + 1, '\xc0')).code, WireCode::kTooLarge);
}

// They would become null wherever JSON is made of them.
TEST(DecodeRequest, RefusesNumbersThatAreNone) {
    for (const std::string& number : {std::string("\xca\x7f\x80\x00\x00", 5),
                                      std::string("\xcb\xff\xf0\x00\x00\x00\x00\x00\x00", 9),
                                      std::string("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01", 9)})
        EXPECT_NE(refusal("\x83\xa1v\x01\xa6method\xa1x\xa1z" + number)
                      .message.find("a number that is infinite, or none"),
                  std::string::npos);
}

TEST(DecodeRequest, RefusesBinExtAndKeysThatAreNoText) {
    EXPECT_NE(refusal(std::string("\x83\xa1v\x01\xa6method\xa1x\xa1z\xc4\x01\x00", 18))
                  .message.find("bin"),
              std::string::npos);
    EXPECT_NE(refusal(std::string("\x83\xa1v\x01\xa6method\xa1x\xa1z\xd4\x01\x00", 18))
                  .message.find("ext"),
              std::string::npos);
    EXPECT_NE(refusal("\x82\xa1v\x01\x07\x01").message.find("key that is not a string"),
              std::string::npos);
    EXPECT_NE(refusal("\x92\x01\x02").message.find("expected a msgpack map"), std::string::npos);
}

TEST(DecodeRequest, ChecksVersionMethodAndTypes) {
    EXPECT_NE(refusal(packed({{"v", 2}, {"method", "x"}})).message.find("v: expected 1, found 2"),
              std::string::npos);
    EXPECT_EQ(refusal(packed({{"method", "x"}})).message, "v: missing; expected 1");
    for (const json& wrong : {json(1.0), json(true), json("1"), json(nullptr), json(-1)}) {
        EXPECT_EQ(refusal(packed({{"v", wrong}, {"method", "x"}})).message,
                  "v: expected the integer 1, found a value of another type")
            << wrong;
    }
    EXPECT_NE(refusal(packed({{"v", 1}})).message.find("method"), std::string::npos);
    for (const char* key : {"id", "method", "deadline_ms", "auth", "params", "trace"}) {
        for (const json& wrong : {json(-1), json(1.5), json(nullptr), json::array()}) {
            json request = minimal();
            request[key] = wrong;
            EXPECT_NE(refusal(packed(request)).message.find(key), std::string::npos)
                << key << wrong;
        }
    }
    json request = minimal();
    request["auth"] = {{"authorization", 7}};
    EXPECT_NE(refusal(packed(request)).message.find("auth.authorization"), std::string::npos);
}

TEST(DecodeRequest, ChecksSizesAndKeepsTheIdForTheReply) {
    json request = minimal();
    request["id"] = "my-id";
    request["deadline_ms"] = limits::kDeadlineMaxMs + 1;
    const std::string bytes = packed(request);
    const auto refused = decode_request(bytes);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().id, "my-id");
    request["deadline_ms"] = 1;
    request["id"] = std::string(limits::kRequestIdBytesMax + 1, 'x');
    EXPECT_NE(refusal(packed(request)).message.find("id: expected at most 64 bytes, found 65"),
              std::string::npos);
    request["id"] = "a\nb";
    EXPECT_NE(refusal(packed(request)).message.find("control"), std::string::npos);
}

TEST(ValidateObject, TakesOneObjectOfAnyType) {
    EXPECT_TRUE(validate_object("\x80"));
    EXPECT_TRUE(validate_object("\xc0"));
    EXPECT_FALSE(validate_object(""));
    EXPECT_FALSE(validate_object("\xc1"));
    EXPECT_FALSE(validate_object("\x80\x80"));
}

TEST(DownloadUrl, ParamsAreBounded) {
    const auto decode = [](const json& params) {
        return decode_download_url_params(packed(params)).has_value();
    };
    EXPECT_TRUE(decode({{"job_id", "x"}}));
    EXPECT_TRUE(decode({{"a", {{"job_id", 7}}}, {"job_id", std::string(128, 'x')}}));
    EXPECT_TRUE(decode({{"job_id", "🟢"}}));
    EXPECT_FALSE(decode({{"job_id", std::string(129, 'x')}}));
    EXPECT_FALSE(decode({{"job_id", ""}}));
    EXPECT_FALSE(decode({{"job_id", std::string("a\0b", 3)}}));
    EXPECT_FALSE(decode({{"job_id", 7}}));
    EXPECT_FALSE(decode({{"other", "x"}}));
    EXPECT_FALSE(decode({{"nested", {{"job_id", "x"}}}}));
}

TEST(Reply, RoundTripsResultsAndErrors) {
    std::string bytes;
    const ServedBy served_by{"download_url", "1.0.0", 3, "abcd"};
    encode_result(bytes, "r1", packed({{"a", 1}}), &served_by);
    auto reply = decode_reply(bytes);
    ASSERT_TRUE(reply);
    EXPECT_TRUE(reply->ok);
    EXPECT_EQ(reply->id, "r1");
    EXPECT_EQ(parse_msgpack(reply->result), json({{"a", 1}}));
    EXPECT_EQ(parse_msgpack(bytes)["served_by"]["generation"], 3);
    EXPECT_EQ(reply_id(bytes), "r1");

    WireError error = make_error(WireCode::kOverloaded, "busy");
    error.retry_after_ms = 250;
    error.details = packed({{"queue", 1024}});
    encode_error(bytes, "r2", error, nullptr);
    reply = decode_reply(bytes);
    ASSERT_TRUE(reply);
    EXPECT_FALSE(reply->ok);
    EXPECT_EQ(reply->error.code, WireCode::kOverloaded);
    EXPECT_EQ(reply->error.message, "busy");
    EXPECT_TRUE(reply->error.retryable);
    EXPECT_EQ(reply->error.executed, Executed::kNo);
    EXPECT_EQ(reply->error.retry_after_ms, 250U);
    EXPECT_EQ(parse_msgpack(reply->error.details)["queue"], 1024);
}

TEST(Reply, RefusesGarbage) {
    for (const std::string& bad :
         {std::string(), std::string("\xc1"), std::string("\x80"), packed({{"v", 2}, {"ok", true}}),
          packed({{"v", 1}, {"ok", true}}), packed({{"v", 1}, {"ok", false}}),
          std::string("\xdd\xff\xff\xff\xff")}) {
        EXPECT_FALSE(decode_reply(bad));
    }
}

// Whoever waits for a reply under this id gets one, however bad the rest is.
TEST(Request, ARefusalHasTheIdThatCanBeFound) {
    for (const std::string& params :
         {"\x81\xd9\x81" + std::string(129, 'k') + "\x01", std::string(40, '\x91') + "\xc0"}) {
        const std::string bytes = "\x84\xa1v\x01\xa2id\xa4mine\xa6method\xa1m\xa6params" + params;
        const auto refused = decode_request(bytes);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().id, "mine");
    }
}

TEST(WireError, NamesTheParameterItIsAbout) {
    const WireError error = make_error(WireCode::kInvalidArgument, "filter.labels: expected text");
    EXPECT_EQ(error.field, "filter.labels");
    std::string bytes;
    encode_error(bytes, "1", error, nullptr);
    EXPECT_EQ(decode_reply(bytes)->error.field, "filter.labels");
    EXPECT_EQ(make_error(WireCode::kNotFound, "job: gone").field, "");
    for (const char* text : {"Job not found", "expected: this", "a b: c", "a:b", ": c", ""})
        EXPECT_EQ(field_of(text), text == std::string("expected: this") ? "expected" : "") << text;
}

TEST(WireError, EveryCodeHasANameAndAStatus) {
    for (std::uint32_t number = 1; number <= kWireCodeLast; ++number) {
        const auto code = static_cast<WireCode>(number);
        EXPECT_EQ(parse_wire_code(to_string(code)), code);
        EXPECT_GE(http_status(code), 400);
    }
    EXPECT_FALSE(parse_wire_code("nonsense"));
    EXPECT_EQ(http_status(WireCode::kGone), 410);
    EXPECT_EQ(http_status(WireCode::kExpired), 504);
}

TEST(WireError, EveryErrorHasACode) {
    const std::vector<std::pair<ErrorCode, WireCode>> codes{
        {ErrorCode::kInvalidArgument, WireCode::kInvalidArgument},
        {ErrorCode::kNotFound, WireCode::kNotFound},
        {ErrorCode::kConflict, WireCode::kConflict},
        {ErrorCode::kUnauthenticated, WireCode::kUnauthenticated},
        {ErrorCode::kPermissionDenied, WireCode::kPermissionDenied},
        {ErrorCode::kDeadlineExceeded, WireCode::kDeadlineExceeded},
        {ErrorCode::kResourceExhausted, WireCode::kOverloaded},
        {ErrorCode::kUnavailable, WireCode::kOverloaded},
        {ErrorCode::kUnknownOutcome, WireCode::kUnavailable},
        {ErrorCode::kFailedPrecondition, WireCode::kInternal},
        {ErrorCode::kDataLoss, WireCode::kInternal},
        {ErrorCode::kInternal, WireCode::kInternal}};
    for (const auto& [code, wire] : codes)
        EXPECT_EQ(from_error({code, "x"}).code, wire) << to_string(code);
}

TEST(WireError, AnUnknownOutcomeIsNoInvitationToDoItTwice) {
    const WireError error =
        from_error({ErrorCode::kUnknownOutcome, "/srv/jobs.db: disk I/O error"});
    EXPECT_EQ(error.executed, Executed::kUnknown);
    EXPECT_FALSE(error.retryable);
    EXPECT_EQ(http_status(error.code), 503);
    EXPECT_EQ(error.message.find("/srv"), std::string::npos);
}

TEST(WireError, ALimitOnCallersSaysWhenToComeBack) {
    const WireError error = from_error({ErrorCode::kRateLimited, "Too many"});
    EXPECT_EQ(error.code, WireCode::kRateLimited);
    EXPECT_TRUE(error.retryable);
    EXPECT_EQ(error.retry_after_ms, 1000U);
}

TEST(WireError, AFullDiskIsCalledSoWithoutItsPath) {
    const WireError error = from_error({ErrorCode::kResourceExhausted, "/srv/jobs.db: full"});
    EXPECT_NE(error.message.find("no room for this, such as on a full disk"), std::string::npos);
    EXPECT_EQ(error.message.find("/srv"), std::string::npos);
    EXPECT_NE(from_error({ErrorCode::kUnavailable, "x"}).message, error.message);
}

TEST(WireError, InternalTextStaysInside) {
    EXPECT_EQ(from_error({ErrorCode::kDataLoss, "/secret/path broke"}).message, "internal error");
    EXPECT_EQ(from_error({ErrorCode::kNotFound, "Job not found"}).message, "Job not found");
}

}  // namespace
}  // namespace export_worker::message
