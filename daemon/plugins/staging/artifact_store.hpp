// The plugin files this daemon has taken in, by what is in them, and the private copies it loads.
//
//   DIRECTORY/artifacts/SHA256.so   every file that was ever considered and is still worth keeping
//   DIRECTORY/live/NUMBER-HASH.so   one per loaded image; never the same name twice in a process
//
// The dynamic loader knows libraries by path and inode, and a file that changes under a running
// library takes the process down; so what is loaded is a private copy. A crash leaves
// live copies and ".part" files, which the next start deletes; artifacts stay, for rolling back.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "base/result.hpp"
#include "daemon/plugins/refusal.hpp"

namespace export_worker::plugins {

struct Artifact {
    std::string sha256;  // 64 hex digits, of exactly `bytes`.
    std::string bytes;
};

// [loader-thread]
class ArtifactStore {
public:
    // Creates `directory` (0700) and what belongs below it. Errors: those of the file system;
    // kFailedPrecondition on a noexec mount, where nothing could be loaded.
    [[nodiscard]] static Result<ArtifactStore> open(const std::string& directory);

    // Copies `source` while hashing it. Refused: what open_trusted() refuses, an empty or over-long
    // file, a full disk.
    [[nodiscard]] Verdict<Artifact> take_in(const std::string& source);
    // The same for a file of this process that has what an operator sent, and is deleted. `source`:
    // where it came from, for messages.
    [[nodiscard]] Verdict<Artifact> take_in_sent(const std::string& path,
                                                 const std::string& source);
    // One that was taken in before. Refused: none with that hash, or its bytes have changed.
    [[nodiscard]] Verdict<Artifact> find(const std::string& sha256) const;
    [[nodiscard]] bool has(const std::string& sha256) const;
    // The hashes that start with `prefix` (hex digits).
    [[nodiscard]] std::set<std::string> matching(const std::string& prefix) const;

    // A fresh copy to load, mode 0500, under a name that was never used in this process.
    [[nodiscard]] Verdict<std::string> make_live_copy(const Artifact& artifact);
    void drop_live_copy(const std::string& path) const;
    // Forgets every artifact that is not in `wanted`.
    void keep_only(const std::set<std::string>& wanted) const;

private:
    [[nodiscard]] Verdict<Artifact> take_in_open(int from, const std::string& source);
    explicit ArtifactStore(const std::string& directory)
        : artifacts_(directory + "/artifacts"), live_(directory + "/live") {}
    [[nodiscard]] std::string path_of(const std::string& sha256) const {
        return artifacts_ + "/" + sha256 + ".so";
    }

    std::string artifacts_;
    std::string live_;
    std::uint64_t copies_ = 0;
};

}  // namespace export_worker::plugins
