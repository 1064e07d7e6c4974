#include "daemon/jobs/postgres/instance_lease.hpp"

#include <utility>

#include "base/crypto/uuid.hpp"
#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/now.hpp"

namespace export_worker::jobs::pg {

using postgres::Connection;
using postgres::Rows;
using postgres::UnixTime;

Result<std::unique_ptr<InstanceLease>> InstanceLease::enter(postgres::Database& database,
                                                            const Clock& clock,
                                                            const std::string& version,
                                                            std::chrono::seconds length) {
    std::unique_ptr<InstanceLease> out(new InstanceLease(database, clock, version, length));
    EW_CHECK(out->enter_anew());
    out->threads_.start([lease = out.get()] { lease->run(); });
    return out;
}

InstanceLease::~InstanceLease() {
    threads_.stop();
    if (id().empty()) return;
    const auto ended = database_.write([&](Connection& connection, std::int64_t) {
        return connection.change(
            "UPDATE instance SET lease_until = '-infinity' WHERE instance_id = $1", id());
    });
    if (!ended) log_warn("instance {}: its end: {}", id(), ended.error().message);
}

std::string InstanceLease::id() const {
    const std::lock_guard lock(mutex_);
    return id_;
}

Result<void> InstanceLease::enter_anew() {
    std::string id;
    EW_CHECK(database_.write([&](Connection& connection, std::int64_t now_us) {
        // A row of a try whose answer was lost ends by itself.
        id = crypto::make_uuid7(now_us);
        return connection.change("INSERT INTO instance VALUES ($1, $2, $3, $4)", id, version_,
                                 UnixTime{now_us}, UnixTime{now_us + us_of(length_)});
    }));
    const std::lock_guard lock(mutex_);
    id_ = std::move(id);
    return {};
}

Result<void> InstanceLease::renew() {
    const std::lock_guard one(renewal_);
    const std::string mine = id();
    EW_TRY(const bool is_there, database_.write([&](Connection& connection,
                                                    std::int64_t now_us) -> Result<bool> {
        EW_TRY(const Rows renewed,
               connection.query("UPDATE instance SET lease_until = $2 WHERE instance_id = $1", mine,
                                UnixTime{now_us + us_of(length_)}));
        return renewed.changed() > 0;
    }));
    if (is_there) return {};
    EW_CHECK(enter_anew());
    log_warn("instance {}: its lease had ended, and its jobs were put back; goes on as {}", mine,
             id());
    return {};
}

void InstanceLease::run() {
    name_this_thread("lease");
    SteadyTime next = clock_.steady() + limits::kLeaseInterval;
    bool is_failing = false;  // The log says so once.
    while (threads_.wait_for(clock_.block_for(limits::kLeaseInterval))) {
        if (clock_.steady() < next) continue;
        const auto renewed = renew();
        if (!renewed && !is_failing) log_warn("lease: {}", renewed.error().message);
        is_failing = !renewed;
        next = clock_.steady() + limits::kLeaseInterval;
    }
}

}  // namespace export_worker::jobs::pg
