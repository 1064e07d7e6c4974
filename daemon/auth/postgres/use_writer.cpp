#include "daemon/auth/postgres/use_writer.hpp"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth::pg {

UseWriter::UseWriter(postgres::Database& database) : database_(database) {
    threads_.start([this] { run(); });
}

UseWriter::~UseWriter() {
    threads_.stop();
    write();
}

void UseWriter::add(std::vector<KeyUse> uses) {
    {
        const std::lock_guard lock(mutex_);
        waiting_.insert(waiting_.end(), std::make_move_iterator(uses.begin()),
                        std::make_move_iterator(uses.end()));
        if (waiting_.size() > limits::kApiKeysMax)
            waiting_.erase(waiting_.begin(), waiting_.end() - limits::kApiKeysMax);
    }
    threads_.wake();
}

// Keys that another daemon writes meanwhile may be in another order there: the server gives one of
// the two up, and it runs again.
void UseWriter::write() {
    std::vector<KeyUse> uses;
    {
        const std::lock_guard lock(mutex_);
        uses.swap(waiting_);
    }
    for (std::size_t begin = 0; begin < uses.size(); begin += limits::kKeyUsesPerWrite) {
        std::vector<std::string> ids;
        std::vector<std::int64_t> times;
        const std::size_t end = std::min(uses.size(), begin + limits::kKeyUsesPerWrite);
        for (std::size_t index = begin; index < end; ++index) {
            ids.push_back(std::move(uses[index].id));
            times.push_back(uses[index].used_us);
        }
        const auto written = database_.write([&](postgres::Connection& connection, std::int64_t) {
            return connection.change(
                "UPDATE api_key SET last_used_us = used.at FROM (SELECT id, max(at) AS at FROM "
                "unnest($1::text[], $2::bigint[]) AS one (id, at) GROUP BY id) AS used WHERE "
                "api_key.id = used.id AND coalesce(last_used_us, 0) < used.at",
                ids, times);
        });
        if (!written) log_warn("last uses of {} keys: {}", ids.size(), written.error().message);
    }
}

void UseWriter::run() {
    name_this_thread("key uses");
    constexpr std::chrono::seconds kLong{3'600};  // A wake comes with every use.
    for (std::uint64_t seen = 0; threads_.wait_for(kLong, seen);) {
        seen = threads_.wakes();
        write();
    }
}

}  // namespace export_worker::auth::pg
