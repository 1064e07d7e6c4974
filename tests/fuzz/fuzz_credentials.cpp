// What services, files and stores answer: credentials in every form, XML, times. Never more than an
// error, and no error repeats a secret.
#include <cstdlib>
#include <string>

#include "base/clock.hpp"
#include "daemon/credentials/parse.hpp"
#include "daemon/http_client/xml_document.hpp"

using namespace export_worker;

namespace {

void check(const Result<credentials::Credentials>& parsed) {
    if (parsed && (parsed->key_id.empty() || parsed->secret.empty())) std::abort();
    if (!parsed && parsed.error().message.find("S3CRET") != std::string::npos) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const std::string text(reinterpret_cast<const char*>(data), size);
    if (text.find("S3CRET") != std::string::npos) return 0;  // Then it is no secret.
    const Clock& clock = system_clock();
    check(credentials::parse_profile(text, "default", clock));
    check(credentials::parse_profile("[default]\naws_secret_access_key=S3CRET\n" + text, "default",
                                     clock));
    check(credentials::parse_handed_out(text, clock));
    check(credentials::parse_handed_out(R"({"SecretAccessKey":"S3CRET",)" + text, clock));
    check(credentials::parse_assumed_role(text, clock));
    check(credentials::parse_service_account(text));
    check(credentials::parse_connection_string(text, "acct"));
    check(credentials::parse_connection_string("AccountKey=S3CRET*;" + text, "acct"));
    if (const auto document = http::XmlElement::parse(text)) {
        (void)document->name();
        (void)document->text("Error/Code");
        for (const auto& child : document->children("Contents")) (void)child.text("Key");
    }
    return 0;
}
