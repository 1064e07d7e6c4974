#include "daemon/cluster/change_feed.hpp"

#include <algorithm>

namespace export_worker::cluster {
namespace {

using postgres::Connection;
using postgres::Rows;

const char* name_of(ChangeKind kind) {
    return kind == ChangeKind::kAuth ? "auth" : "file";
}

}  // namespace

Result<std::int64_t> raise_change(Connection& connection, ChangeKind kind) {
    EW_TRY(const Rows raised,
           connection.query("INSERT INTO change VALUES ($1, 1) ON CONFLICT (kind) DO UPDATE SET "
                            "version = change.version + 1 RETURNING version",
                            name_of(kind)));
    return raised.front().integer(0);
}

Result<std::int64_t> read_version(Connection& connection, ChangeKind kind) {
    EW_TRY(const Rows rows,
           connection.query("SELECT version FROM change WHERE kind = $1", name_of(kind)));
    return rows.empty() ? std::int64_t{0} : rows.front().integer(0);
}

void FollowedChanges::renewed(SteadyTime sent, std::int64_t version) {
    newest_.version = version;
    if (seen_ >= version) {
        current_at_ = sent;
        ahead_.reset();
    } else if (!ahead_) {
        ahead_ = Renewal{sent, version};
    }
}

void FollowedChanges::lose_history() {
    ++newest_.history;
    seen_ = -1;
    current_at_.reset();
    ahead_.reset();
}

void FollowedChanges::follow(const Changes& seen) {
    if (seen.history != newest_.history) return;
    seen_ = seen.version;
    if (!ahead_ || ahead_->version > seen_) return;
    current_at_ = current_at_ ? std::max(*current_at_, ahead_->sent) : ahead_->sent;
    ahead_.reset();
}

}  // namespace export_worker::cluster
