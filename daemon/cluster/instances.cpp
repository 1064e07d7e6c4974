#include "daemon/cluster/instances.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.hpp"
#include "daemon/cluster/limits.hpp"

namespace export_worker::cluster {
namespace {

using std::chrono::microseconds;

using postgres::Connection;
using postgres::Row;
using postgres::Rows;

Instance read_instance(const Row& row) {
    Instance out;
    out.id = row.string(0);
    out.name = row.string(1);
    out.version = row.string(2);
    out.started_us = row.unix_us(3);
    out.lease_left = microseconds(row.integer(4));
    out.leads = row.boolean(5);
    out.seen_auth = row.integer(6);
    if (const auto offset_us = row.optional_integer(7)) out.clock_offset = microseconds(*offset_us);
    out.file_hashes = parse_file_hashes(row.text(8));
    return out;
}

}  // namespace

Result<std::vector<Instance>> list_instances(Connection& connection) {
    EW_TRY(const Rows rows,
           connection.query(
               "SELECT instance_id, name, version, started_at, CASE WHEN lease_until > "
               "database_now() THEN (extract(epoch FROM lease_until - database_now()) * "
               "1000000)::bigint ELSE 0 END, EXISTS (SELECT 1 FROM leader WHERE leader.instance_id "
               "= instance.instance_id AND until > database_now()), seen_auth, clock_offset_us, "
               "file_hashes FROM instance ORDER BY started_at, instance_id LIMIT $1",
               static_cast<std::int64_t>(limits::kInstancesListedMax)));
    return rows.each(read_instance);
}

Result<void> evict_instance(Connection& connection, std::string_view instance_id) {
    EW_TRY(const Rows ended,
           connection.query("UPDATE instance SET lease_until = '-infinity' WHERE instance_id = $1",
                            instance_id));
    if (ended.changed() == 0)
        return fail(ErrorCode::kNotFound, "No instance has the id '" + printable(instance_id) +
                                              "'; exportctl cluster status lists them");
    return connection.change("UPDATE leader SET until = '-infinity' WHERE instance_id = $1",
                             instance_id);
}

std::vector<std::string> names_of_differing_files(const std::vector<Instance>& instances) {
    std::set<std::string> names;
    for (const Instance& each : instances) {
        for (const auto& [name, hash] : each.file_hashes) names.insert(name);
    }
    std::vector<std::string> out;
    for (const std::string& name : names) {
        std::set<std::string> hashes;
        for (const Instance& each : instances) {
            if (each.lease_left.count() == 0) continue;
            const auto found = each.file_hashes.find(name);
            hashes.insert(found == each.file_hashes.end() ? "" : found->second);
        }
        if (hashes.size() > 1) out.push_back(name);
    }
    return out;
}

std::string encode_file_hashes(const FileHashes& hashes) {
    std::string out;
    for (const auto& [name, hash] : hashes) out.append(hash).append(" ").append(name).append("\n");
    return out;
}

FileHashes parse_file_hashes(std::string_view text) {
    FileHashes out;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        const std::string_view line = text.substr(0, end);
        const std::size_t blank = line.find(' ');
        if (blank != std::string_view::npos)
            out.emplace(line.substr(blank + 1), line.substr(0, blank));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out;
}

}  // namespace export_worker::cluster
