#include "daemon/auth/auth_feed.hpp"

namespace export_worker::auth {

Result<std::unique_ptr<AuthFeed>> AuthFeed::open(AuthStore& store, KeyStore& keys,
                                                 MemberStore& members) {
    std::unique_ptr<AuthFeed> out(new AuthFeed(store, keys, members));
    EW_CHECK(store.follow(*out));
    return out;
}

AuthFeed::~AuthFeed() {
    store_.unfollow();
}

void AuthFeed::apply(const AuthChanges& changes) {
    keys_.apply(changes);
    members_.apply(changes);
}

}  // namespace export_worker::auth
