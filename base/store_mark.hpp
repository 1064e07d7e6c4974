// The mark of a registry in the root of a local store: the file ROOT/.export-worker-REGISTRY.
//
// The daemon makes it in the directory that its exports go to. It tells the right directory from an
// empty mount point, from another volume and from the store of another registry. Only a regular
// file is a mark. What a missing file means, to whoever mints a link or follows one, is decided
// here, too: of a root that is away every file looks gone.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker {

[[nodiscard]] std::string store_mark_path(const std::string& root, const std::string& registry_id);
[[nodiscard]] bool is_store_mark(const std::string& path);
// Whether an entry of a root has the name of a mark, whatever it is.
[[nodiscard]] bool has_mark_name(const std::string& file_name);
// The ids of the registries that have marked `root`, sorted. Reads the names in it. Errors: those
// of the file system, kNotFound when there is no such directory. [any-thread]
[[nodiscard]] Result<std::vector<std::string>> marked_registries(const std::string& root);
// Makes the mark at `path` and syncs it; one that is there is fine. Errors: kFailedPrecondition for
// anything else of that name, those of the file system.
[[nodiscard]] Result<void> make_store_mark(const std::string& path);

// Whether `error`, the errno of opening a file below a root, says that there is no such file, or
// something else in its place. Anything else, such as a broken disk or no right, says nothing of
// it.
[[nodiscard]] bool is_no_file(int error);
// Whether the root of a local store is away: missing, no directory, or without the mark of
// `registry_id` (empty: of any registry). A store without marks (nullopt) is away when its root is
// empty, as the mount point of a volume that is not mounted. A root that cannot be listed is not
// away. To be asked only after is_no_file(). [any-thread]
[[nodiscard]] bool is_root_away(const std::string& root,
                                std::optional<std::string_view> registry_id);

}  // namespace export_worker
