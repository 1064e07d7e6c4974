#include "daemon/control/control_methods.hpp"

#include "daemon/control/limits.hpp"
#include "daemon/jobs/limits.hpp"
#include "tests/unit/daemon/control/control_fixture.hpp"

namespace export_worker::control {
namespace {

class ControlMethodsTest : public ControlFixture {
protected:
    json import(const std::string& lines) {
        return call("control.catalog_import",
                    {{"organization", "acme"}, {"lines", lines}, {"first_line", 1}});
    }
    json organization(const std::string& id) {
        const json listed = call("control.organization_list");
        for (const json& each : listed["items"]) {
            if (each["organization"] == id) return each;
        }
        return nullptr;
    }
};

constexpr const char* kProduct = R"({"key":"k1","productType":"t","properties":{"name":"n"}})";

TEST_F(ControlMethodsTest, UnknownMethodsAreNone) {
    for (const char* name : {"", "control.", "control.Status", "jobs.list", "control.status "})
        EXPECT_EQ(find_control_method(name), nullptr) << name;
}

TEST_F(ControlMethodsTest, StatusShowsThisDaemon) {
    submit();
    clock_.advance(std::chrono::seconds(90));
    credentials_ = {{"bucket", "static", true, clock_.unix_us(), 0, ""},
                    {"other", "", false, 0, 0, "no"}};
    const json status = call("control.status");
    EXPECT_EQ(status["version"], "1.2.3");
    EXPECT_EQ(status["uptime_seconds"], 90);
    EXPECT_EQ(status["data_endpoint"], "ipc:///data.sock");
    EXPECT_EQ(status["draining"], false);
    EXPECT_EQ(status["jobs"]["pending"], 1);
    EXPECT_TRUE(status["jobs"]["oldest_waiting_since"].is_string());
    EXPECT_EQ(status["plugins"], json::array());
    EXPECT_EQ(status["requests"]["balanced"], true);
    EXPECT_EQ(status["stores"][0]["name"], "bucket");
    EXPECT_TRUE(status["stores"][0]["error"].is_null());
    EXPECT_TRUE(status["stores"][1]["expires_at"].is_null());
    EXPECT_EQ(status["stores"][1]["error"], "no");
}

TEST_F(ControlMethodsTest, DrainEndsTheTakingOfRequests) {
    EXPECT_EQ(call("control.drain")["draining"], true);
    EXPECT_TRUE(data_server_.draining());
    EXPECT_EQ(call("control.status")["draining"], true);
}

TEST_F(ControlMethodsTest, MetricsAreText) {
    const std::string text = call("control.metrics")["text"].get<std::string>();
    EXPECT_NE(text.find("export_worker_jobs{status=\"pending\"} 0"), std::string::npos);
}

TEST_F(ControlMethodsTest, ImportsCountAndNumberTheLines) {
    const json report =
        call("control.catalog_import", {{"organization", "acme"},
                                        {"lines", std::string(kProduct) + "\nnot json\n\n{}\n"},
                                        {"first_line", 41}});
    EXPECT_EQ(report["imported"], 1);
    EXPECT_EQ(report["rejected"], 2);
    ASSERT_EQ(report["errors"].size(), 2U);
    EXPECT_EQ(report["errors"][0]["line"], 42);
    EXPECT_EQ(report["errors"][1]["line"], 44);
    EXPECT_EQ(*catalog_->reader().count("acme"), 1);
}

TEST_F(ControlMethodsTest, HostileLinesCostOnlyThemselves) {
    const json report = import("\"\xff\"\n[]\n{\"key\":5}\n" + std::string(200, '[') + "\n" +
                               std::string("\0\n", 2) + kProduct);
    EXPECT_EQ(report["imported"], 1);
    EXPECT_EQ(report["rejected"], 5);
}

TEST_F(ControlMethodsTest, ImportRefusesWrongParameters) {
    const json good = {{"organization", "acme"}, {"lines", kProduct}, {"first_line", 1}};
    for (const char* method : {"control.catalog_import", "control.price_import"}) {
        for (const auto& [name, values] : std::initializer_list<std::pair<const char*, json>>{
                 {"organization",
                  {nullptr, 5, "", "../up", "a b", "\xff", std::string(65, 'a'), json::array()}},
                 {"lines", {nullptr, 5, json::array({"x"}), json::object()}},
                 {"first_line", {nullptr, -1, "1", 1.5, true}}}) {
            for (const json& value : values) {
                json params = good;
                params[name] = value;
                EXPECT_TRUE(refusal(method, params).starts_with("invalid_argument: "))
                    << method << " " << dump_json(params);
            }
            json params = good;
            params.erase(name);
            EXPECT_TRUE(refusal(method, params).starts_with("invalid_argument: ")) << name;
        }
    }
    EXPECT_EQ(*catalog_->reader().count("acme"), 0);
}

TEST_F(ControlMethodsTest, ParametersThatAreNoMapNameNothing) {
    for (const json& params : std::initializer_list<json>{nullptr, "x", 5, json::array({"x"})}) {
        for (const char* method :
             {"control.catalog_import", "control.organization_set", "control.key_create",
              "control.member_set", "control.session_create", "control.plugin_load"})
            EXPECT_TRUE(refusal(method, params).starts_with("invalid_argument: ")) << method;
        EXPECT_EQ(call("control.key_list", params)["items"], json::array());
    }
}

TEST_F(ControlMethodsTest, PricesAreImported) {
    const json report =
        call("control.price_import",
             {{"organization", "acme"},
              {"lines", "{\"product_key\":\"k1\",\"brand_key\":\"b\",\"amount\":12.50}\nno\n"},
              {"first_line", 1}});
    EXPECT_EQ(report["imported"], 1);
    EXPECT_EQ(report["rejected"], 1);
    EXPECT_EQ(report["errors"][0]["line"], 2);
}

TEST_F(ControlMethodsTest, AnOrganizationKeepsWhatIsNotSet) {
    call("control.organization_set", {{"organization", "acme"}, {"running_max", 3}, {"weight", 7}});
    const json held = call("control.organization_set", {{"organization", "acme"}, {"held", true}});
    EXPECT_EQ(held["running_max"], 3);
    EXPECT_EQ(held["weight"], 7);
    EXPECT_EQ(organization("acme")["held"], true);
    call("control.organization_set", {{"organization", "acme"}, {"running_max", nullptr}});
    EXPECT_TRUE(organization("acme")["running_max"].is_null());
    EXPECT_EQ(organization("acme")["held"], true);
    EXPECT_EQ(wakes_, 3);
}

TEST_F(ControlMethodsTest, SettingAnOrganizationShowsItsJobs) {
    submit();
    submit();
    ASSERT_TRUE(jobs_->queue().claim()->has_value());
    const json set = call("control.organization_set", {{"organization", "acme"}, {"weight", 2}});
    EXPECT_EQ(set["running"], 1);
    EXPECT_EQ(set["pending"], 1);
    EXPECT_EQ(set, organization("acme"));
}

TEST_F(ControlMethodsTest, QuotasAreSetShownAndTakenBack) {
    submit();
    const json quotas = {{"unfinished_max", 1},
                         {"stored_bytes_max", std::int64_t{1} << 40},
                         {"requests_per_second_max", 50}};
    json params = {{"organization", "acme"}};
    params.update(quotas);
    call("control.organization_set", params);
    const json shown = call("control.organization_show", {{"organization", "acme"}});
    for (const auto& [name, value] : quotas.items()) EXPECT_EQ(shown[name], value) << name;
    EXPECT_EQ(shown["unfinished"], 1);
    EXPECT_EQ(shown["stored_bytes"], 0);
    EXPECT_EQ(shown, organization("acme"));
    call("control.organization_set", {{"organization", "acme"}, {"unfinished_max", nullptr}});
    const json without = call("control.organization_show", {{"organization", "acme"}});
    EXPECT_TRUE(without["unfinished_max"].is_null());
    EXPECT_EQ(without["requests_per_second_max"], 50);
    EXPECT_EQ(call("control.organization_show", {{"organization", "nobody"}})["weight"], 1);
    EXPECT_TRUE(refusal("control.organization_show", {{"organization", "a/b"}})
                    .starts_with("invalid_argument: organization"));
}

TEST_F(ControlMethodsTest, OrganizationsAreListedInPages) {
    for (std::size_t index = 0; index < limits::kOrganizationsPage + 2; ++index) {
        jobs::OrganizationPolicy policy;
        policy.organization_id = "org-" + std::to_string(100'000 + index);
        policy.weight = 2;
        ASSERT_TRUE(jobs_->organizations().set_organization(policy));
    }
    const json first = call("control.organization_list");
    EXPECT_EQ(first["items"].size(), limits::kOrganizationsPage);
    const json second = call("control.organization_list", {{"after", first["next"]}});
    EXPECT_EQ(second["items"].size(), 2U);
    EXPECT_TRUE(second["next"].is_null());
}

TEST_F(ControlMethodsTest, OrganizationsRefuseWrongValues) {
    const auto refused = [&](const json& change) {
        json params = {{"organization", "acme"}};
        params.update(change);
        return refusal("control.organization_set", params).starts_with("invalid_argument: ");
    };
    for (const json& value : std::initializer_list<json>{0, -1, 1.5, "3", true, UINT64_MAX,
                                                         INT64_MIN, json::array({1})}) {
        EXPECT_TRUE(refused({{"running_max", value}})) << value;
        EXPECT_TRUE(refused({{"weight", value}})) << value;
        for (const char* name : {"unfinished_max", "stored_bytes_max", "requests_per_second_max"})
            EXPECT_TRUE(refused({{name, value}})) << name << " " << value;
    }
    EXPECT_TRUE(refused({{"weight", nullptr}}));
    EXPECT_TRUE(refused({{"weight", limits::kOrganizationWeightMax + 1}}));
    for (const json& value : std::initializer_list<json>{nullptr, 1, "true"})
        EXPECT_TRUE(refused({{"held", value}})) << value;
    for (const json& id : std::initializer_list<json>{nullptr, 5, "", ".", "../x", "a/b", "\xff"})
        EXPECT_TRUE(refused({{"organization", id}})) << dump_json(id);
    EXPECT_EQ(call("control.organization_list")["items"], json::array());
    EXPECT_EQ(wakes_, 0);
}

}  // namespace
}  // namespace export_worker::control
