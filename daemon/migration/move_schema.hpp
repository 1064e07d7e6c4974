// The table of moves. Private to daemon/migration.
#pragma once

#include <array>

namespace export_worker::migration {

// One entry a schema version; released entries never change.
inline constexpr std::array<const char*, 1> kMoveMigrations{R"sql(
-- The registry that was moved into this schema. The row is committed with all that was copied. line_*_us: what the times of the
-- registry's own line were measured with. tables: for each the rows and the SHA-256 of then, as JSON.
CREATE TABLE moved_registry (
    move_id        text COLLATE "C" PRIMARY KEY,
    registry_id    text NOT NULL,
    state          text NOT NULL CHECK (state IN ('done', 'undone')),
    moved_at       timestamptz NOT NULL,
    line_offset_us bigint NOT NULL,
    line_now_us    bigint NOT NULL,
    tables         text NOT NULL
);
)sql"};

}  // namespace export_worker::migration
