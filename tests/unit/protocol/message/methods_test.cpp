#include "protocol/message/methods.hpp"

#include <gtest/gtest.h>

namespace export_worker::message {
namespace {

bool is_durable(std::string_view name) {
    const WireMethod* method = find_method(name);
    return method != nullptr && method->durable;
}

TEST(Methods, AreFoundByTheirWholeName) {
    for (const WireMethod& method : kMethods) EXPECT_EQ(find_method(method.name), &method);
    for (const char* name : {"", "no.such", "jobs.get ", "JOBS.GET", "jobs.", "sys.pin"})
        EXPECT_EQ(find_method(name), nullptr) << name;
}

TEST(Methods, KnowWhichAreDurable) {
    for (const char* method :
         {"exports.submit", "jobs.create", "jobs.report_progress", "jobs.cancel", "templates.put"})
        EXPECT_TRUE(is_durable(method)) << method;
    for (const char* method :
         {"jobs.get", "jobs.list", "sys.ping", "download_url.get", "no.such", ""})
        EXPECT_FALSE(is_durable(method)) << method;
}

TEST(Methods, AnIdempotencyKeyIsForWhatIsDurable) {
    for (const WireMethod& method : kMethods)
        EXPECT_TRUE(method.durable || !method.takes_idempotency_key) << method.name;
}

}  // namespace
}  // namespace export_worker::message
