#include <gtest/gtest.h>

#include "base/clock.hpp"
#include "base/hex.hpp"
#include "signing/content_disposition.hpp"
#include "signing/local_link.hpp"
#include "signing/percent_encoding.hpp"
#include "signing/s3_presign.hpp"
#include "signing/signing_time.hpp"

namespace export_worker::signing {
namespace {

TEST(PercentEncoding, KeepsOnlyUnreservedBytes) {
    EXPECT_EQ(percent_encode("aZ0-._~"), "aZ0-._~");
    EXPECT_EQ(percent_encode(" +*/%é"), "%20%2B%2A%2F%25%C3%A9");
    std::string path;
    append_percent_encoded_path(path, "a/b c//d%2F");
    EXPECT_EQ(path, "a/b%20c//d%252F");
}

TEST(PercentEncoding, DecodesStrictly) {
    EXPECT_EQ(percent_decode("a%20b+c%2f"), "a b+c/");
    for (const char* bad : {"%", "%4", "a%zz", "%4"}) EXPECT_FALSE(percent_decode(bad)) << bad;
}

TEST(ContentDisposition, NeutralisesHostileNames) {
    EXPECT_EQ(content_disposition("products.csv"), "attachment; filename=\"products.csv\"");
    EXPECT_EQ(content_disposition("a b,c;d.csv"), "attachment; filename=\"a b,c;d.csv\"");
    EXPECT_EQ(content_disposition("50%\".csv"),
              "attachment; filename=\"50__.csv\"; filename*=UTF-8''50%25%22.csv");
    EXPECT_EQ(content_disposition("€ rates.csv"),
              "attachment; filename=\"_ rates.csv\"; filename*=UTF-8''%E2%82%AC%20rates.csv");
    EXPECT_EQ(safe_filename("../../etc/passwd"), "_.._etc_passwd");
    EXPECT_EQ(safe_filename("a\r\nSet-Cookie: x"), "a__Set-Cookie: x");
    EXPECT_EQ(safe_filename("evil\xe2\x80\xaegpj.exe"), "evil_gpj.exe");
    EXPECT_EQ(safe_filename("a\xff\xfe"), "a__");
    EXPECT_EQ(safe_filename("\xdc\xbd\x1b\x80"), "\xdc\xbd__");  // Found by fuzzing.
    EXPECT_EQ(safe_filename(""), "export");
    EXPECT_EQ(safe_filename("..."), "export");
    EXPECT_EQ(safe_filename(std::string(300, 'x')).size(), 255U);
    std::string cut(254, 'x');
    cut += "€";
    EXPECT_LE(safe_filename(cut).size(), 255U);
}

TEST(SigningTime, WritesCalendarDates) {
    const SigningTime time(1369353600);
    EXPECT_EQ(time.timestamp(), "20130524T000000Z");
    EXPECT_EQ(time.day(), "20130524");
    EXPECT_EQ(SigningTime(951827696).timestamp(), "20000229T123456Z");  // A leap day.
}

// A request together with what its bucket's endpoint is made of.
struct S3Example {
    std::string bucket = "examplebucket";
    std::string endpoint = "https://s3.amazonaws.com";
    std::string region = "us-east-1";
    std::string key = "test.txt";
    S3Addressing addressing = S3Addressing::kVirtual;
    S3PresignRequest request = [] {
        S3PresignRequest out;
        out.access_key_id = "AKIAIOSFODNN7EXAMPLE";
        out.unix_s = 1369353600;
        out.expires_seconds = 86400;
        return out;
    }();
    Result<S3Presigned> sign(const SigV4Key& signing_key) {
        EW_TRY(const Endpoint where, s3_bucket_endpoint(endpoint, region, bucket, addressing));
        request.bucket = &where;
        request.region = region;
        request.key = key;
        return presign_s3(request, signing_key);
    }
};
SigV4Key documentation_key() {
    return derive_sigv4_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1",
                            "s3");
}

// The example of "Authenticating Requests: Using Query Parameters" in the S3 API reference.
TEST(S3Presign, MatchesTheDocumentedExample) {
    const auto signed_url = S3Example().sign(documentation_key());
    ASSERT_TRUE(signed_url);
    EXPECT_EQ(signed_url->url,
              "https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&"
              "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-"
              "Amz-Date=20130524T000000Z&"
              "X-Amz-Expires=86400&X-Amz-SignedHeaders=host&"
              "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
    EXPECT_EQ(signed_url->canonical_request.substr(0, 14), "GET\n/test.txt\n");
    EXPECT_TRUE(signed_url->string_to_sign.ends_with(
        "3bfa292879f6447bbcda7001decf97f4a54dc650c8942174ae0a9121cf58ad04"));
}

std::string url_of(S3Example& example) {
    const auto signed_url = example.sign(documentation_key());
    return signed_url ? signed_url->url.substr(0, signed_url->url.find('?'))
                      : "error: " + signed_url.error().message;
}

TEST(S3Presign, BuildsHostsAndPaths) {
    S3Example request;
    request.endpoint = "";
    EXPECT_EQ(url_of(request), "https://examplebucket.s3.us-east-1.amazonaws.com/test.txt");
    request.addressing = S3Addressing::kPath;
    EXPECT_EQ(url_of(request), "https://s3.us-east-1.amazonaws.com/examplebucket/test.txt");
    request.region = "cn-north-1";
    EXPECT_EQ(url_of(request), "https://s3.cn-north-1.amazonaws.com.cn/examplebucket/test.txt");
    request.endpoint = "http://MinIO.local:9000/";
    EXPECT_EQ(url_of(request), "http://minio.local:9000/examplebucket/test.txt");
    request.endpoint = "https://files.example.com:443/gateway";
    EXPECT_EQ(url_of(request), "https://files.example.com/gateway/examplebucket/test.txt");
    request.endpoint = "http://files.example.com:443";
    EXPECT_EQ(url_of(request), "http://files.example.com:443/examplebucket/test.txt");
    request.endpoint = "http://[2001:db8::1]:9000";
    EXPECT_EQ(url_of(request), "http://[2001:db8::1]:9000/examplebucket/test.txt");
}

TEST(S3Presign, EncodesKeysOnceAndExactly) {
    S3Example request;
    request.addressing = S3Addressing::kPath;
    request.endpoint = "http://s";
    for (const auto& [key, path] :
         std::vector<std::pair<std::string, std::string>>{{"a b", "a%20b"},
                                                          {"a+b", "a%2Bb"},
                                                          {"a%2Fb", "a%252Fb"},
                                                          {"a//b/", "a//b/"},
                                                          {"/a", "/a"},
                                                          {"é", "%C3%A9"},
                                                          {"e\xcc\x81", "e%CC%81"},
                                                          {"a?b#c", "a%3Fb%23c"},
                                                          {"~*'()!", "~%2A%27%28%29%21"},
                                                          {"🟢", "%F0%9F%9F%A2"}}) {
        request.key = key;
        EXPECT_EQ(url_of(request), "http://s/examplebucket/" + path);
    }
}

TEST(S3Presign, CarriesTokenAndOverridesInTheSignedQuery) {
    S3Example request;
    const std::string plain = request.sign(documentation_key())->url;
    request.request.session_token = "tok/en+=";
    request.request.query = {{"response-content-disposition", "attachment; filename=\"a.csv\""},
                             {"versionId", "3"}};
    const auto signed_url = request.sign(documentation_key());
    ASSERT_TRUE(signed_url);
    EXPECT_NE(signed_url->url.find("&X-Amz-Security-Token=tok%2Fen%2B%3D&"), std::string::npos);
    EXPECT_NE(
        signed_url->url.find(
            "&response-content-disposition=attachment%3B%20filename%3D%22a.csv%22&versionId=3&"),
        std::string::npos);
    EXPECT_NE(signed_url->url.substr(signed_url->url.size() - 64), plain.substr(plain.size() - 64));
}

TEST(S3Presign, RefusesWhatCannotWork) {
    const auto refused = [](auto change) {
        S3Example request;
        change(request);
        const auto signed_url = request.sign(documentation_key());
        return !signed_url && signed_url.error().code == ErrorCode::kInvalidArgument;
    };
    EXPECT_TRUE(refused([](auto& r) { r.key = "a/../b"; }));
    EXPECT_TRUE(refused([](auto& r) { r.key = "./b"; }));
    EXPECT_TRUE(refused([](auto& r) { r.bucket = "a/b"; }));
    EXPECT_TRUE(refused([](auto& r) { r.bucket = "ab"; }));
    EXPECT_TRUE(refused([](auto& r) { r.request.expires_seconds = 0; }));
    EXPECT_TRUE(refused([](auto& r) { r.request.expires_seconds = 604801; }));
    EXPECT_TRUE(refused([](auto& r) { r.endpoint = "files.example.com"; }));
    EXPECT_TRUE(refused([](auto& r) { r.endpoint = "https://a b"; }));
    EXPECT_TRUE(refused([](auto& r) { r.endpoint = "https://user@host"; }));
    EXPECT_TRUE(refused([](auto& r) { r.region = ""; }));
    EXPECT_TRUE(refused([](auto& r) { r.request.access_key_id = ""; }));
    EXPECT_TRUE(refused(
        [](auto& r) { r.endpoint = "http://[::1]:9000"; }));  // Virtual-hosted on an address.
}

const std::vector<LocalLinkKey> kKeys{{"new", "0123456789abcdef"}, {"old", "fedcba9876543210"}};

std::string link_target(const LocalLinkRequest& request) {
    const auto link = sign_local_link(request);
    EXPECT_TRUE(link);
    return link->url.substr(std::string_view("https://d.example").size());
}
LocalLinkRequest link_request() {
    return {"https://d.example", "acme/job 1.csv", "new", kKeys[0].secret, 2000, "pröducts.csv"};
}

TEST(LocalLink, VerifiesWhatItSigned) {
    const std::string target = link_target(link_request());
    EXPECT_TRUE(target.starts_with(
        "/exports/acme/job%201.csv?expires=2000&filename=pr%C3%B6ducts.csv&key=new&sig="));
    const auto link = verify_local_link(target, kKeys, 1999);
    ASSERT_TRUE(link);
    EXPECT_EQ(link->path, "acme/job 1.csv");
    EXPECT_EQ(link->filename, "pröducts.csv");
    EXPECT_EQ(link->key_id, "new");
}

// Computed with Python's hmac module over the documented string.
TEST(LocalLink, HasAGoldenSignature) {
    LocalLinkRequest request = link_request();
    request.path = "acme/1.csv";
    request.filename = "a.csv";
    const auto link = sign_local_link(request);
    EXPECT_EQ(link->string_to_sign, "export-worker-link-v1\nGET\nacme/1.csv\n2000\nnew\na.csv");
    EXPECT_TRUE(link->url.ends_with("&sig=cRlokAm2aRxFk95fAdCg02Gnd0HzrrVdLl8cR4g_X2k"))
        << link->url;
}

TEST(LocalLink, AcceptsTheOldKeyDuringRotation) {
    LocalLinkRequest request = link_request();
    request.key_id = "old";
    request.secret = kKeys[1].secret;
    EXPECT_TRUE(verify_local_link(link_target(request), kKeys, 0));
}

TEST(LocalLink, ExpiresToTheSecond) {
    const std::string target = link_target(link_request());
    EXPECT_TRUE(verify_local_link(target, kKeys, 1999));
    EXPECT_EQ(verify_local_link(target, kKeys, 2000).error().code, ErrorCode::kDeadlineExceeded);
}

TEST(LocalLink, RefusesEverySingleByteChange) {
    const std::string target = link_target(link_request());
    for (std::size_t index = 0; index < target.size(); ++index) {
        std::string changed = target;
        changed[index] = changed[index] == 'x' ? 'y' : 'x';
        const auto link = verify_local_link(changed, kKeys, 0);
        ASSERT_FALSE(link) << changed;
        EXPECT_EQ(link.error().message, "The link is not valid");
    }
}

TEST(LocalLink, RefusesRepeatedUnknownAndMissingParameters) {
    const std::string target = link_target(link_request());
    EXPECT_FALSE(verify_local_link(target + "&x=1", kKeys, 0));
    EXPECT_FALSE(verify_local_link(target + "&expires=9999", kKeys, 0));
    // In front, the one that was signed comes last.
    for (const char* twice : {"expires=9999", "filename=x.csv", "key=old", "sig=x"}) {
        std::string changed = target;
        changed.insert(changed.find('?') + 1, std::string(twice) + "&");
        EXPECT_FALSE(verify_local_link(changed, kKeys, 0)) << twice;
    }
    EXPECT_FALSE(verify_local_link(target.substr(0, target.find("&sig")), kKeys, 0));
    EXPECT_FALSE(verify_local_link("/exports/acme/job%201.csv", kKeys, 0));
    EXPECT_FALSE(verify_local_link("", kKeys, 0));
}

TEST(LocalLink, RefusesToSignPathsThatLeaveTheRoot) {
    for (const char* bad : {"", "/a", "a//b", "../a", "a/..", "a/./b", "a\nb"}) {
        LocalLinkRequest request = link_request();
        request.path = bad;
        EXPECT_FALSE(sign_local_link(request)) << bad;
    }
}

TEST(LocalLinkKeys, AreReadFromLines) {
    const auto keys = parse_local_link_keys("# ours\nk2 " + std::string(64, 'a') + "\n\nk1 " +
                                            std::string(32, '0') + "  # old\n");
    ASSERT_TRUE(keys) << keys.error().message;
    ASSERT_EQ(keys->size(), 2U);
    EXPECT_EQ((*keys)[0].id, "k2");
    EXPECT_EQ((*keys)[1].secret.size(), 16U);
}

TEST(LocalLinkKeys, ErrorsNameTheLineAndNotTheSecret) {
    for (const char* bad :
         {"", "justone", "k1 abc", "k1 deadbeef", "k/1 00112233445566778899aabbccddeeff"}) {
        const auto keys = parse_local_link_keys(bad);
        ASSERT_FALSE(keys) << bad;
        EXPECT_EQ(keys.error().message.find("deadbeef"), std::string::npos);
    }
}

}  // namespace
}  // namespace export_worker::signing
