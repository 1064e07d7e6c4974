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
const std::vector<LocalLinkStore> kStores{{"eu", kKeys}};

Result<VerifiedLocalLink> verify(std::string_view target, std::int64_t now_unix_s = 0,
                                 const std::vector<LocalLinkStore>& stores = kStores) {
    return verify_local_link(target, stores, now_unix_s);
}
std::string link_target(const LocalLinkRequest& request) {
    const auto link = sign_local_link(request);
    if (!link) return "error: " + link.error().message;
    return link->url.substr(std::string_view("https://d.example").size());
}
LocalLinkRequest link_request() {
    return {.base_url = "https://d.example",
            .path = "acme/job 1.csv",
            .key_id = "new",
            .secret = kKeys[0].secret,
            .expires_unix_s = 2000,
            .filename = "pröducts.csv",
            .store = "eu"};
}
LocalLinkRequest old_link_request() {
    LocalLinkRequest request = link_request();
    request.store = "";
    return request;
}
std::string replaced(std::string text, std::string_view what, std::string_view with) {
    const std::size_t at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what << " in " << text;
    return at == std::string::npos ? text : text.replace(at, what.size(), with);
}

TEST(LocalLink, VerifiesWhatItSigned) {
    const std::string target = link_target(link_request());
    EXPECT_TRUE(
        target.starts_with("/exports/acme/job%201.csv?expires=2000&filename="
                           "pr%C3%B6ducts.csv&store=eu&key=new&sig="));
    const auto link = verify(target, 1999);
    ASSERT_TRUE(link);
    EXPECT_EQ(link->path, "acme/job 1.csv");
    EXPECT_EQ(link->filename, "pröducts.csv");
    EXPECT_EQ(link->key_id, "new");
    EXPECT_EQ(link->store_index, 0U);
    EXPECT_EQ(link->content_type, "");
    EXPECT_EQ(link->sha256, "");
}

// Computed with Python's hmac module over the documented strings.
TEST(LocalLink, HasAGoldenSignature) {
    LocalLinkRequest request = link_request();
    request.path = "acme/1.csv";
    request.filename = "a.csv";
    const auto link = sign_local_link(request);
    EXPECT_EQ(link->string_to_sign,
              "export-worker-link-v2\nGET\neu\nacme/1.csv\n2000\nnew\na.csv\n\n");
    EXPECT_TRUE(link->url.ends_with("&sig=PvrOdJZUGpKKGSpXKAn8PyNbhNTt2_Nb9Af6J_vXZis"))
        << link->url;
    request.store = "";
    const auto old = sign_local_link(request);
    EXPECT_EQ(old->string_to_sign, "export-worker-link-v1\nGET\nacme/1.csv\n2000\nnew\na.csv");
    EXPECT_TRUE(old->url.ends_with("&sig=cRlokAm2aRxFk95fAdCg02Gnd0HzrrVdLl8cR4g_X2k")) << old->url;
}

TEST(LocalLink, SaysWhatTheFileIs) {
    LocalLinkRequest request = link_request();
    const std::string digest(64, 'a');
    request.content_type = "text/csv; charset=utf-8";
    request.sha256_hex = digest;
    const std::string target = link_target(request);
    const auto link = verify(target);
    ASSERT_TRUE(link) << target;
    EXPECT_EQ(link->content_type, "text/csv; charset=utf-8");
    EXPECT_EQ(link->sha256, std::string(32, '\xaa'));
    EXPECT_FALSE(verify(replaced(target, "type=text%2Fcsv", "type=text%2Fhtm")));
    EXPECT_FALSE(verify(replaced(target, "&type=text%2Fcsv%3B%20charset%3Dutf-8", "")));
    EXPECT_FALSE(verify(replaced(target, "&sha256=q", "&sha256=r")));
    for (const char* bad : {"text", "/csv", "text/", "text/csv\r\nX: y", "text/csv\tx", "a b/c",
                            "text/c\x80v", "text/csv; x=(y)"}) {
        EXPECT_FALSE(is_content_type(bad)) << bad;
        request.content_type = bad;
        EXPECT_FALSE(sign_local_link(request)) << bad;
    }
    EXPECT_FALSE(is_content_type("text/" + std::string(200, 'x')));
    request = link_request();
    request.sha256_hex = "abcd";
    EXPECT_FALSE(sign_local_link(request));
    request = old_link_request();
    request.content_type = "text/csv";
    EXPECT_FALSE(sign_local_link(request));
}

TEST(LocalLink, OpensNothingInAnotherStoreWithTheSameKey) {
    const std::string target = link_target(link_request());
    const std::vector<LocalLinkStore> others{{"us", kKeys}, {"", kKeys}};
    EXPECT_FALSE(verify(target, 0, others));
    const std::vector<LocalLinkStore> both{{"us", kKeys}, {"eu", kKeys}};
    const auto link = verify(target, 0, both);
    ASSERT_TRUE(link);
    EXPECT_EQ(link->store_index, 1U);
    EXPECT_FALSE(verify(replaced(target, "store=eu", "store=us"), 0, both));
    EXPECT_FALSE(verify(replaced(target, "&store=eu", ""), 0, both));
}

TEST(LocalLink, OfTheOldFormOpensTheOneStoreThatHasItsKey) {
    const std::string target = link_target(old_link_request());
    EXPECT_TRUE(target.starts_with(
        "/exports/acme/job%201.csv?expires=2000&filename=pr%C3%B6ducts.csv&key=new&sig="));
    EXPECT_TRUE(verify(target));
    EXPECT_FALSE(verify(target + "&store=eu"));
    const std::vector<LocalLinkKey> other{{"new", "another secret of theirs"}};
    const auto link = verify(target, 0, std::vector<LocalLinkStore>{{"us", other}, {"eu", kKeys}});
    ASSERT_TRUE(link);
    EXPECT_EQ(link->store_index, 1U);
    EXPECT_FALSE(verify(target, 0, std::vector<LocalLinkStore>{{"us", kKeys}, {"eu", kKeys}}));
}

// What clients and proxies make of a URL without changing its meaning: yarl (aiohttp) and Apache's
// mod_proxy decode what RFC 3986 lets stand, others encode more, some write hex digits small.
TEST(LocalLink, IsGoodHoweverItsPercentEncodingIsSpelled) {
    for (LocalLinkRequest request : {link_request(), old_link_request()}) {
        request.path = "acme/a (1)'s:~*!,;=@$&+ü.csv";
        request.filename = "Prix (été): 50% 'A'~*+b&c=d/e.csv";
        const std::string target = link_target(request);
        const auto changed = [&](std::vector<std::pair<std::string, std::string>> pairs) {
            std::string out = target;
            for (const auto& [from, to] : pairs) out = replaced(out, from, to);
            return out;
        };
        for (const std::string& spelled :
             {changed({{"%281%29%27s%3A~%2A%21%2C%3B%3D%40%24%26%2B", "(1)'s:~*!,;=@$&+"}}),
              changed({{"s%3A~%2A", "s%3a%7E%2a"}, {"%C3%BC.csv", "%c3%bc%2Ecsv"}}),
              changed({{"Prix%20%28%C3%A9t%C3%A9%29%3A", "Prix%20(%c3%a9t%c3%a9):"}}),
              changed({{"Prix%20", "Prix+"}, {"%27A%27~%2A%2Bb", "'A'%7e*%2bb"}}),
              changed({{"%3Dd%2Fe.csv", "=d/e.csv"}}),
              changed({{"expires=2000", "expires=%32000"}}), changed({{"acme/a", "%61cme/a"}})}) {
            const auto link = verify(spelled);
            ASSERT_TRUE(link) << spelled;
            EXPECT_EQ(link->path, request.path);
            EXPECT_EQ(link->filename, request.filename);
        }
        // Another meaning, or two of them.
        for (const std::string& other :
             {changed({{"acme/a", "acme%2Fa"}}), changed({{"acme/a", "acme%2fa"}}),
              changed({{"acme/a", "acme//a"}}), changed({{"acme/a", "acme/./a"}}),
              changed({{"acme/a", "acme/%2e/a"}}), changed({{"acme/a", "acme\\a"}}),
              changed({{"acme/a", "ACME/a"}}), changed({{"%2Bb", "+b"}}), changed({{"%26c", "&c"}}),
              changed({{"%281", "%25281"}}), changed({{"%281", "%2"}}),
              changed({{"filename=", "file%6Eame="}}), target + "#x"})
            EXPECT_FALSE(verify(other)) << other;
    }
}

TEST(LocalLink, AcceptsTheOldKeyDuringRotation) {
    LocalLinkRequest request = link_request();
    request.key_id = "old";
    request.secret = kKeys[1].secret;
    EXPECT_TRUE(verify(link_target(request)));
}

TEST(LocalLink, ExpiresToTheSecond) {
    const std::string target = link_target(link_request());
    EXPECT_TRUE(verify(target, 1999));
    EXPECT_EQ(verify(target, 2000).error().code, ErrorCode::kDeadlineExceeded);
}

TEST(LocalLink, RefusesEverySingleByteChange) {
    for (const LocalLinkRequest& request : {link_request(), old_link_request()}) {
        const std::string target = link_target(request);
        for (std::size_t index = 0; index < target.size(); ++index) {
            std::string changed = target;
            changed[index] = changed[index] == 'x' ? 'y' : 'x';
            const auto link = verify(changed);
            ASSERT_FALSE(link) << changed;
            EXPECT_EQ(link.error().message, "The link is not valid");
        }
    }
}

TEST(LocalLink, RefusesRepeatedUnknownAndMissingParameters) {
    const std::string target = link_target(link_request());
    EXPECT_FALSE(verify(target + "&x=1"));
    EXPECT_FALSE(verify(target + "&expires=9999"));
    // In front, the one that was signed comes last.
    for (const char* twice : {"expires=9999", "filename=x.csv", "key=old", "sig=x", "store=us"}) {
        std::string changed = target;
        changed.insert(changed.find('?') + 1, std::string(twice) + "&");
        EXPECT_FALSE(verify(changed)) << twice;
    }
    EXPECT_FALSE(verify(target.substr(0, target.find("&sig"))));
    EXPECT_FALSE(verify("/exports/acme/job%201.csv"));
    EXPECT_FALSE(verify(""));
}

TEST(LocalLink, RefusesToSignPathsThatLeaveTheRoot) {
    for (const char* bad : {"", "/a", "a//b", "../a", "a/..", "a/./b", "a\nb"}) {
        LocalLinkRequest request = link_request();
        request.path = bad;
        EXPECT_FALSE(sign_local_link(request)) << bad;
    }
}

// The shim answers no such request, so no such link is minted.
TEST(LocalLink, RefusesToSignWhatNoRequestCanAskFor) {
    LocalLinkRequest request = link_request();
    request.path = "acme/a\\b.csv";
    EXPECT_NE(sign_local_link(request).error().message.find("backslash"), std::string::npos);
    const std::string long_path = "acme/" + std::string(700, '!');
    request.path = long_path;
    const auto too_long = sign_local_link(request);
    ASSERT_FALSE(too_long);
    EXPECT_EQ(too_long.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(too_long.error().message.find("at most 2048 bytes"), std::string::npos);
    const std::string plain_path = "acme/" + std::string(700, 'a');
    request.path = plain_path;
    EXPECT_TRUE(sign_local_link(request));
}

TEST(RequestTarget, IsOriginFormWithOneMeaning) {
    for (const char* good : {"/", "/a%20b?c=%2F%5C\\", "/a/...", "/a?b=../c", "/(:'~*!,;=@$&+)"})
        EXPECT_TRUE(check_request_target(good)) << good;
    for (const char* bad : {"", "a", "*", "http://h/", "/a b", "/a\x7f", "/\xc3\xbc", "/a#b", "/%",
                            "/a%2", "/a?b=%zz", "/a%2Fb", "/a%2fb", "/a%5Cb", "/a\\b", "/..",
                            "/a/./b", "/a/%2E%2e/b", "/a/.%2E"})
        EXPECT_EQ(check_request_target(bad).error().code, ErrorCode::kInvalidArgument) << bad;
    EXPECT_TRUE(check_request_target("/" + std::string(2047, 'a')));
    EXPECT_EQ(check_request_target("/" + std::string(2048, 'a')).error().code,
              ErrorCode::kResourceExhausted);
}

TEST(LocalLinkKeys, AreReadFromLines) {
    const auto keys = parse_local_link_keys("# ours\nk2 " + std::string(64, 'a') + "\n\nk1 " +
                                            std::string(32, '0') + "  # old\n");
    ASSERT_TRUE(keys) << keys.error().message;
    ASSERT_EQ(keys->size(), 2U);
    EXPECT_EQ((*keys)[0].id, "k2");
    EXPECT_EQ((*keys)[1].secret.size(), 16U);
}

TEST(LocalLinkKeys, AnIdIsUsedOnce) {
    const std::string secret(32, 'b');
    const auto keys = parse_local_link_keys("k1 " + std::string(32, 'a') + "\n# new\nk1 " + secret);
    ASSERT_FALSE(keys);
    EXPECT_EQ(keys.error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(keys.error().message.starts_with("line 3: key id 'k1' is used twice"))
        << keys.error().message;
    EXPECT_EQ(keys.error().message.find(secret), std::string::npos);
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
