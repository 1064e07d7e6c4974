// What minting a link needs to know of finished jobs, in memory.
//
// Only jobs whose file is published are in it: nothing of that changes until the file is withdrawn,
// which FileChanges hears of. It may be used only while that is known.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "daemon/model/job.hpp"
#include "daemon/model/organization_scope.hpp"

namespace export_worker::jobs::pg {

// [any-thread]
class FileCache {
public:
    // `entries_max`: 0 keeps nothing. At most `bytes_max`, too.
    FileCache(std::size_t entries_max, std::size_t bytes_max);

    enum class Found : std::uint8_t { kNo, kYes, kOutsideScope };
    // Fills `file` if the answer is yes.
    [[nodiscard]] Found find(const model::OrganizationScope& scope, std::string_view job_id,
                             model::JobFile& file);
    // To be asked for before the registry is read.
    [[nodiscard]] std::uint64_t generation() const { return generation_.load(); }
    // What the registry has said. Ignored if something was forgotten since `generation`: it may
    // have been this.
    void add(std::string_view job_id, const model::JobFile& file, std::uint64_t generation);
    void forget(std::span<const std::string> job_ids);
    void forget_all();

    [[nodiscard]] std::size_t size() const;   // Entries.
    [[nodiscard]] std::size_t bytes() const;  // With what it takes to find them.

private:
    struct Entry {
        std::string job_id;
        std::string packed;  // All fields, one behind the other.
    };
    using Entries = std::list<Entry>;  // The last one used first.
    struct Shard {
        mutable std::mutex mutex;
        Entries entries;
        std::unordered_map<std::string_view, Entries::iterator> by_id;  // Into entries.
        std::size_t bytes = 0;
    };
    static constexpr std::size_t kShards = 16;

    [[nodiscard]] Shard& shard_of(std::string_view job_id);
    static void drop(Shard& shard, std::string_view job_id);  // Under its mutex, as the next one.
    void make_room(Shard& shard) const;

    const std::size_t entries_max_;  // Of one shard, as the next one.
    const std::size_t bytes_max_;
    std::atomic<std::uint64_t> generation_{0};
    std::array<Shard, kShards> shards_;
};

}  // namespace export_worker::jobs::pg
