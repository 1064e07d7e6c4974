// Limits of daemon/server. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

// Further on, a list is paged by `after`.
inline constexpr std::int64_t kJobListOffsetMax = 10'000;
inline constexpr std::size_t kCallsMax = 2048;  // Queued and running; more: overloaded.
// Peers are hashed into so many classes, which take turns; a class may hold as many slots as are
// free: one alone half of them, and another one always finds some. At most 64: a bit each.
inline constexpr std::size_t kPeerClasses = 64;
inline constexpr std::size_t kPeerCallsMax = kCallsMax / 2;
// Of their requests together; more: overloaded.
inline constexpr std::size_t kCallsBytesMax = 64 * 1024 * 1024;
// A slot keeps a buffer of this size for its next request; a larger one is given back.
inline constexpr std::size_t kCallBufferKeptBytesMax = 64 * 1024;
inline constexpr std::size_t kReceivesPerTurn = 64;  // Then replies get their turn.
// Replies that leave in one message; one that is longer leaves alone.
inline constexpr std::size_t kRepliesPerMessageBytes = 256 * 1024;
inline constexpr std::chrono::milliseconds kDeadlineScanInterval{20};
// Replies a peer does not take at once wait for it, at most kSocketLinger each. A peer may hold as
// many, and as many bytes of them, as are free; one more is given up.
inline constexpr std::size_t kUnsentRepliesMax = 16'384;
inline constexpr std::size_t kUnsentBytesMax = 64 * 1024 * 1024;
// So many of one peer that no new work is done for it: overloaded.
inline constexpr std::size_t kUnsentPeerWorkRepliesMax = 4'096;
inline constexpr std::size_t kUnsentPeerWorkBytesMax = 8 * 1024 * 1024;
inline constexpr std::size_t kUnsentRetriesPerTurn = 64;
inline constexpr std::chrono::milliseconds kUnsentRetryInterval{1};
// The loop's sleep while nothing is in flight; whatever comes ends it.
inline constexpr std::chrono::milliseconds kIdleLoopInterval{1'000};
inline constexpr std::chrono::milliseconds kDrainTimeout{10'000};
// Once all is answered, peers that have not heard of the end are told until so many turns of the
// loop in a row, each as long as kDeadlineScanInterval, bring nothing; no longer than this.
inline constexpr std::size_t kDrainQuietTurns = 3;
inline constexpr std::chrono::milliseconds kDrainTalk{500};
// Of kDrainTimeout for the ends of the workers' threads, which run thread-local destructors of
// plugins.
inline constexpr std::chrono::milliseconds kWorkersEndTimeout{1'000};
// Threads for the methods that wait until something is durable, and how many each of them has under
// way: those that wait together share one sync.
inline constexpr unsigned kServerCommitWorkers = 8;
inline constexpr std::size_t kCallsPerCommitWorker = 32;
// Threads of a low priority for the methods that read many rows. Of one organization so many run
// and wait; more: overloaded.
inline constexpr unsigned kServerListWorkers = 4;
inline constexpr std::size_t kListsRunningPerOrganization = 2;
inline constexpr std::size_t kListsWaitingPerOrganization = 14;
// When to ask again for a list that was refused, and for what took too long in the database.
inline constexpr std::uint32_t kListRetryMs = 200;
inline constexpr std::uint32_t kReadStoppedRetryMs = 1'000;
// A worker inside one request for longer than this is replaced, so that others do not wait for it.
inline constexpr std::chrono::milliseconds kWorkerStall{1'000};
// Of one plugin at once; more: fewer workers are left for it.
inline constexpr unsigned kWorkersReplacedMax = 32;
// Plugins with workers of their own; further ones share those of the last.
inline constexpr std::size_t kPluginWorkerGroupsMax = 8;
// Requests past their deadline inside the generation of a plugin that serves; then its new requests
// are refused. Below kWorkersReplacedMax: a generation that replaces it finds workers.
inline constexpr unsigned kPluginStuckMax = 16;
// A plugin that has answered nothing for this long keeps no more requests than
// kSilentPluginCallsMax: overloaded. Half of what a peer may have, so that its other requests find
// slots.
inline constexpr std::chrono::milliseconds kPluginSilence{250};
inline constexpr std::size_t kSilentPluginCallsMax = kPeerCallsMax / 2;
// When to ask again for a method whose plugin does not answer.
inline constexpr std::uint32_t kPluginStuckRetryMs = 1'000;

// When to ask again for a method whose plugin is not loaded: an operator has to load it.
inline constexpr std::uint32_t kPluginAwayRetryMs = 10'000;

inline constexpr std::size_t kJobEntryBytesMax = 8 * 1024;  // One error or warning entry.
// Errors and warnings an answer shows, each, and the bytes of their texts; the rest stays out.
inline constexpr std::size_t kJobEntriesShownMax = 100;
inline constexpr std::size_t kJobEntriesShownBytesMax = 256 * 1024;
inline constexpr std::size_t kJobListLimitDefault = 50;
inline constexpr std::size_t kJobListLimitMax = 500;

// Threads that ask the identity provider, and the requests that wait for them; more: overloaded.
inline constexpr unsigned kServerSessionLookups = 4;
inline constexpr std::size_t kSessionLookupsWaitingMax = 64;

}  // namespace export_worker::limits
