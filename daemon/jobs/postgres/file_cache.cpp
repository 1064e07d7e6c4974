#include "daemon/jobs/postgres/file_cache.hpp"

#include <cstring>
#include <utility>

namespace export_worker::jobs::pg {
namespace {

using model::JobFile;

constexpr std::array kFields{&JobFile::organization_id, &JobFile::job_type, &JobFile::status,
                             &JobFile::file_url,        &JobFile::filename, &JobFile::content_type,
                             &JobFile::sha256};

// Nodes of the list and of the map, and a bucket.
constexpr std::size_t kEntryBytes = 192;

std::string pack(const JobFile& file) {
    std::string out;
    std::size_t bytes = 0;
    for (const auto field : kFields) bytes += sizeof(std::uint32_t) + (file.*field).size();
    out.reserve(bytes);
    for (const auto field : kFields) {
        const auto size = static_cast<std::uint32_t>((file.*field).size());
        out.append(reinterpret_cast<const char*>(&size), sizeof size);
        out += file.*field;
    }
    return out;
}

// Takes the first field off.
std::string_view unpack_one(std::string_view& packed) {
    std::uint32_t size = 0;
    std::memcpy(&size, packed.data(), sizeof size);
    const std::string_view out = packed.substr(sizeof size, size);
    packed.remove_prefix(sizeof size + size);
    return out;
}

}  // namespace

FileCache::FileCache(std::size_t entries_max, std::size_t bytes_max)
    : entries_max_((entries_max + kShards - 1) / kShards), bytes_max_(bytes_max / kShards) {}

FileCache::Found FileCache::find(const model::OrganizationScope& scope, std::string_view job_id,
                                 JobFile& file) {
    Shard& shard = shard_of(job_id);
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.by_id.find(job_id);
    if (found == shard.by_id.end()) return Found::kNo;
    shard.entries.splice(shard.entries.begin(), shard.entries, found->second);
    std::string_view packed = found->second->packed;
    std::string_view first = packed;
    if (scope.organization_id() && *scope.organization_id() != unpack_one(first))
        return Found::kOutsideScope;
    for (const auto field : kFields) (file.*field).assign(unpack_one(packed));
    return Found::kYes;
}

void FileCache::add(std::string_view job_id, const JobFile& file, std::uint64_t generation) {
    if (entries_max_ == 0) return;
    Entry entry{std::string(job_id), pack(file)};
    Shard& shard = shard_of(job_id);
    const std::lock_guard lock(shard.mutex);
    // Under the mutex: whoever forgets raises it first, and then takes the mutex.
    if (generation != generation_.load()) return;
    drop(shard, job_id);
    shard.bytes += entry.job_id.size() + entry.packed.size() + kEntryBytes;
    shard.entries.push_front(std::move(entry));
    shard.by_id.emplace(shard.entries.front().job_id, shard.entries.begin());
    make_room(shard);
}

void FileCache::forget(std::span<const std::string> job_ids) {
    ++generation_;
    for (const std::string& job_id : job_ids) {
        Shard& shard = shard_of(job_id);
        const std::lock_guard lock(shard.mutex);
        drop(shard, job_id);
    }
}

void FileCache::forget_all() {
    ++generation_;
    for (Shard& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        shard.by_id.clear();
        shard.entries.clear();
        shard.bytes = 0;
    }
}

std::size_t FileCache::size() const {
    std::size_t all = 0;
    for (const Shard& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        all += shard.entries.size();
    }
    return all;
}

std::size_t FileCache::bytes() const {
    std::size_t all = 0;
    for (const Shard& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        all += shard.bytes;
    }
    return all;
}

FileCache::Shard& FileCache::shard_of(std::string_view job_id) {
    return shards_.at(std::hash<std::string_view>()(job_id) % kShards);
}

void FileCache::drop(Shard& shard, std::string_view job_id) {
    const auto found = shard.by_id.find(job_id);
    if (found == shard.by_id.end()) return;
    const auto entry = found->second;
    shard.bytes -= entry->job_id.size() + entry->packed.size() + kEntryBytes;
    shard.by_id.erase(found);  // First: its key is the entry's.
    shard.entries.erase(entry);
}

void FileCache::make_room(Shard& shard) const {
    while (shard.entries.size() > entries_max_ || shard.bytes > bytes_max_) {
        const std::string oldest = shard.entries.back().job_id;
        drop(shard, oldest);
    }
}

}  // namespace export_worker::jobs::pg
