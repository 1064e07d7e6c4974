#include "daemon/control/identity_methods.hpp"

#include "base/clock.hpp"
#include "base/crypto/sha256.hpp"

#include "tests/unit/daemon/control/control_fixture.hpp"

namespace export_worker::control {
namespace {

class IdentityMethodsTest : public ControlFixture {
protected:
    json create_key(const std::string& organization = "acme") {
        return call(
            "control.key_create",
            {{"organization", organization}, {"name", "a key"}, {"permissions", {"job:read"}}});
    }
    json set_member(const json& change) {
        json params = {{"subject", "ann"}, {"organization", "acme"}};
        params.update(change);
        return call("control.member_set", params);
    }
    // Whether each of `values` as `name` is refused as invalid.
    void refuses(std::string_view method, const json& good, const char* name,
                 std::initializer_list<json> values) {
        for (const json& value : values) {
            json params = good;
            params[name] = value;
            EXPECT_TRUE(refusal(method, params).starts_with("invalid_argument: "))
                << method << " " << dump_json(params) << ": " << refusal(method, params);
        }
    }
};

TEST_F(IdentityMethodsTest, AKeysTextIsShownOnce) {
    const json made = create_key();
    const std::string text = made["key"].get<std::string>();
    EXPECT_TRUE(identity_.keys->verify(text));
    EXPECT_EQ(made["permissions"], json({"job:read"}));
    EXPECT_TRUE(made["revoked_at"].is_null());
    const json listed = call("control.key_list");
    EXPECT_EQ(dump_json(listed).find(text), std::string::npos);
    EXPECT_EQ(listed["items"][0]["id"], made["id"]);
}

TEST_F(IdentityMethodsTest, AKeyHasAnEndAndALastUse) {
    json made =
        call("control.key_create",
             {{"organization", "acme"}, {"permissions", {"job:read"}}, {"expires_in_seconds", 60}});
    EXPECT_EQ(made["expires_at"], to_iso8601(clock_.unix_us() + 60'000'000));
    EXPECT_TRUE(made["last_used_at"].is_null());
    ASSERT_TRUE(identity_.keys->verify(made["key"].get<std::string>()));
    EXPECT_EQ(call("control.key_list")["items"][0]["last_used_at"], to_iso8601(clock_.unix_us()));
    EXPECT_TRUE(create_key()["expires_at"].is_null());
}

TEST_F(IdentityMethodsTest, ARotatedKeyIsShownOnceAndTheOldOneEnds) {
    const json old = create_key();
    const json made = call("control.key_rotate", {{"id", old["id"]}, {"overlap_seconds", 3'600}});
    EXPECT_TRUE(identity_.keys->verify(made["key"].get<std::string>()));
    EXPECT_EQ(made["permissions"], old["permissions"]);
    clock_.advance(std::chrono::seconds(3'600));
    EXPECT_FALSE(identity_.keys->verify(old["key"].get<std::string>()));
    EXPECT_TRUE(refusal("control.key_rotate", {{"id", old["id"]}}).starts_with("conflict: "));
    EXPECT_TRUE(refusal("control.key_rotate", {{"id", "nope"}}).starts_with("not_found: "));
    for (const char* name : {"overlap_seconds", "expires_in_seconds"})
        refuses("control.key_rotate", {{"id", made["id"]}}, name,
                {nullptr, "60", 1.5, true, -1, INT64_MIN, INT64_MAX, UINT64_MAX});
}

TEST_F(IdentityMethodsTest, ListsAreBoundedAndSayHowToGoOn) {
    for (const char* subject : {"ann", "bob", "cid"}) {
        create_key();
        set_member({{"subject", subject}, {"roles", {"Editor"}}});
        call("control.session_create", {{"subject", subject}, {"expires_in_seconds", 60}});
        call("control.organization_set", {{"organization", subject}, {"weight", 2}});
    }
    for (const char* method : {"control.key_list", "control.member_list", "control.session_list",
                               "control.organization_list"}) {
        const json all = call(method);
        ASSERT_EQ(all["items"].size(), 3U) << method;
        EXPECT_TRUE(all["next"].is_null()) << method;
        const json first = call(method, {{"limit", 2}});
        ASSERT_EQ(first["items"].size(), 2U) << method;
        const json rest = call(method, {{"limit", 2}, {"after", first["next"]}});
        ASSERT_EQ(rest["items"].size(), 1U) << method;
        EXPECT_TRUE(rest["next"].is_null()) << method;
        EXPECT_EQ(rest["items"][0], all["items"][2]) << method;
        refuses(method, json::object(), "limit", {nullptr, 0, -1, 501, "5", 1.5, UINT64_MAX});
    }
}

TEST_F(IdentityMethodsTest, KeysRefuseWrongValues) {
    const json good = {{"organization", "acme"}, {"name", "n"}, {"permissions", {"job:read"}}};
    refuses("control.key_create", good, "organization",
            {nullptr, 5, "", "../up", "a b", "\xff", std::string(65, 'a'), json::array({"acme"})});
    refuses("control.key_create", good, "name", {std::string(201, 'n'), "a\nb", "\xc0\xaf"});
    refuses("control.key_create", good, "permissions",
            {json::array(), json::array({1}), json::array({nullptr}), json::array({"job:fly"}),
             json::array({""}), json::array({"job:read job:create"}), 5,
             json::array({json::array({"job:read"})})});
    refuses("control.key_create", good, "expires_in_seconds",
            {nullptr, 0, -1, "60", 1.5, true, INT64_MIN, INT64_MAX, UINT64_MAX});
    EXPECT_TRUE(refusal("control.key_create").starts_with("invalid_argument: "));
    EXPECT_EQ(call("control.key_list")["items"], json::array());
}

// One text is no list of one, and an object no list of its values.
TEST_F(IdentityMethodsTest, ListsAreLists) {
    for (const char* text : {"job:read", "Editor"}) {
        const json object = json::object({{"a", text}});
        refuses("control.key_create", {{"organization", "acme"}, {"name", "n"}}, "permissions",
                {text, object});
        refuses("control.member_set", {{"subject", "ann"}, {"organization", "acme"}}, "roles",
                {text, object});
    }
}

TEST_F(IdentityMethodsTest, KeysAreListedByOrganization) {
    create_key("acme");
    create_key("umbrella");
    EXPECT_EQ(call("control.key_list")["items"].size(), 2U);
    const json listed = call("control.key_list", {{"organization", "umbrella"}});
    ASSERT_EQ(listed["items"].size(), 1U);
    EXPECT_EQ(listed["items"][0]["organization"], "umbrella");
    EXPECT_EQ(call("control.key_list", {{"organization", "' OR 1=1 --"}})["items"], json::array());
}

TEST_F(IdentityMethodsTest, ARevokedKeyIsRefusedAndStaysListed) {
    const json made = create_key();
    EXPECT_EQ(call("control.key_revoke", {{"id", made["id"]}})["revoked"], true);
    EXPECT_FALSE(identity_.keys->verify(made["key"].get<std::string>()));
    EXPECT_TRUE(call("control.key_list")["items"][0]["revoked_at"].is_string());
    call("control.key_revoke", {{"id", made["id"]}});
}

TEST_F(IdentityMethodsTest, ARevokedKeyNamesItsOrganization) {
    const json made =
        call("control.key_create", {{"organization", "acme"}, {"permissions", {"job:read"}}});
    EXPECT_EQ(call("control.key_revoke", {{"id", made["id"]}})["organization"], "acme");
}

TEST_F(IdentityMethodsTest, ASecretInPlaceOfAnIdIsNotRepeated) {
    const json made =
        call("control.key_create", {{"organization", "acme"}, {"permissions", {"job:read"}}});
    const std::string key = made["key"].get<std::string>();
    for (const char* method : {"control.key_revoke", "control.key_rotate"}) {
        const std::string text = refusal(method, {{"id", key}});
        EXPECT_EQ(text.find(key.substr(20, 8)), std::string::npos) << text;
        EXPECT_NE(text.find("id: expected a key's id"), std::string::npos) << text;
    }
    const std::string token = "mos_abcdefghijklmnopqrstuvwxyz";
    const std::string text = refusal("control.session_revoke", {{"id", token}});
    EXPECT_EQ(text.find("abcdefgh"), std::string::npos) << text;
}

TEST_F(IdentityMethodsTest, UnknownKeysAndSessionsAreNotFound) {
    for (const json& id : std::initializer_list<json>{nullptr, 5, "", "nope", "\xff"}) {
        EXPECT_TRUE(refusal("control.key_revoke", {{"id", id}}).starts_with("not_found: "));
        EXPECT_TRUE(refusal("control.session_revoke", {{"id", id}}).starts_with("not_found: "));
    }
}

TEST_F(IdentityMethodsTest, ANewMemberNeedsRoles) {
    EXPECT_TRUE(refusal("control.member_set", {{"subject", "ann"}, {"organization", "acme"}})
                    .starts_with("invalid_argument: roles: "));
    EXPECT_EQ(set_member({{"roles", {"Editor"}}})["roles"], json({"Editor"}));
}

TEST_F(IdentityMethodsTest, AnUnknownSubjectCanBeShutOutWithoutRoles) {
    EXPECT_EQ(set_member({{"active", false}})["active"], false);
    EXPECT_EQ(call("control.member_list")["items"][0]["roles"], json::array());
}

TEST_F(IdentityMethodsTest, AMemberKeepsWhatIsNotSet) {
    set_member({{"roles", {"Editor"}}});
    EXPECT_EQ(set_member({{"active", false}})["roles"], json({"Editor"}));
    EXPECT_EQ(set_member({{"roles", {"Viewer"}}})["active"], false);
}

TEST_F(IdentityMethodsTest, MembersRefuseWrongValues) {
    const json good = {{"subject", "ann"}, {"organization", "acme"}, {"roles", {"Editor"}}};
    refuses("control.member_set", good, "subject",
            {nullptr, 5, "", "a\nb", "\xff", std::string(129, 'a')});
    refuses("control.member_set", good, "organization",
            {nullptr, "", "../up", std::string(65, 'a')});
    refuses("control.member_set", good, "roles",
            {5, json::array({1}), json::array({"a b"}), json::array({std::string(65, 'r')}),
             json(std::vector<std::string>(33, "r"))});
    refuses("control.member_set", good, "active", {nullptr, 1, "true"});
    EXPECT_EQ(call("control.member_list")["items"], json::array());
}

TEST_F(IdentityMethodsTest, MembersAreListedByOrganization) {
    set_member({{"roles", {"Editor"}}});
    set_member({{"organization", "umbrella"}, {"roles", {"Editor"}}});
    const json listed = call("control.member_list", {{"organization", "umbrella"}});
    ASSERT_EQ(listed["items"].size(), 1U);
    EXPECT_EQ(listed["items"][0]["organization"], "umbrella");
}

TEST_F(IdentityMethodsTest, ASessionsTokenIsShownOnceAndRevoked) {
    set_member({{"roles", {"Editor"}}});
    const json made =
        call("control.session_create", {{"subject", "ann"}, {"expires_in_seconds", 60}});
    const std::string token = made["token"].get<std::string>();
    EXPECT_TRUE(identity_.members->find_session(crypto::sha256(token)));
    const json listed = call("control.session_list");
    EXPECT_EQ(listed["items"][0]["id"], made["id"]);
    EXPECT_EQ(dump_json(listed).find(token), std::string::npos);
    call("control.session_revoke", {{"id", made["id"]}});
    EXPECT_FALSE(identity_.members->find_session(crypto::sha256(token)));
    EXPECT_EQ(call("control.session_list")["items"], json::array());
}

TEST_F(IdentityMethodsTest, SessionsRefuseWrongLengths) {
    set_member({{"roles", {"Editor"}}});
    const json good = {{"subject", "ann"}, {"expires_in_seconds", 60}};
    refuses("control.session_create", good, "expires_in_seconds",
            {nullptr, 0, -1, "60", 1.5, true, 366 * 86'400 + 1, INT64_MAX, INT64_MIN, UINT64_MAX});
    refuses("control.session_create", good, "subject", {nullptr, 5, "", "\xff", "a\nb"});
    EXPECT_TRUE(refusal("control.session_create", {{"subject", "ann"}})
                    .starts_with("invalid_argument: expires_in_seconds"));
    EXPECT_EQ(call("control.session_list")["items"], json::array());
}

TEST_F(IdentityMethodsTest, ASessionNeedsAMember) {
    EXPECT_TRUE(
        refusal("control.session_create", {{"subject", "ghost"}, {"expires_in_seconds", 60}})
            .starts_with("not_found: "));
}

}  // namespace
}  // namespace export_worker::control
