// Every limit of the system, in one place. A limit names its unit and bound last, and says what
// happens at it. The static_asserts at the end are the relations between them.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

// --- the wire (docs/wire_protocol.md) ---
inline constexpr std::size_t kRequestBytesMax = 1024 * 1024;    // Larger: too_large.
inline constexpr std::size_t kReplyBytesMax = 4 * 1024 * 1024;  // Larger: plugin_fault or internal.
// What the transport takes in at all. Above the request limit, so that "too large" gets a real
// answer.
inline constexpr std::size_t kTransportMessageBytesMax = kReplyBytesMax + 64 * 1024;
inline constexpr std::size_t kMessageDepthMax = 32;
inline constexpr std::size_t kMessageNodesMax = 65'536;
inline constexpr std::size_t kMessageKeyBytesMax = 128;
inline constexpr std::size_t kRequestIdBytesMax = 64;
inline constexpr std::size_t kMethodBytesMax = 64;
inline constexpr std::size_t kCredentialBytesMax = 8 * 1024;  // One of authorization, session.
inline constexpr std::size_t kTraceBytesMax = 64;
inline constexpr std::size_t kEnvelopeFramesMax = 4;  // Routing id, correlation, delimiter, body.
inline constexpr std::size_t kEnvelopeBytesMax = 512;
inline constexpr std::uint32_t kDeadlineDefaultMs = 10'000;
inline constexpr std::uint32_t kDeadlineMaxMs = 60'000;

// --- daemon: data socket ---
inline constexpr std::size_t kCallsMax = 1024;       // Queued and running; more: overloaded.
inline constexpr std::size_t kReceivesPerTurn = 64;  // Then replies get their turn.
// Replies that leave in one message; one that is longer leaves alone.
inline constexpr std::size_t kRepliesPerMessageBytes = 256 * 1024;
inline constexpr int kSocketReceiveHighWater = 32;  // Messages per peer.
inline constexpr int kSocketSendHighWater = 64;
inline constexpr int kSocketBacklog = 512;
inline constexpr std::chrono::milliseconds kHandshakeTimeout{3'000};
inline constexpr std::chrono::milliseconds kHeartbeatInterval{5'000};
inline constexpr std::chrono::milliseconds kHeartbeatTimeout{15'000};
inline constexpr std::chrono::milliseconds kSocketLinger{2'000};
inline constexpr std::chrono::milliseconds kDeadlineScanInterval{20};
// Replies a peer does not take at once wait for it, at most kSocketLinger each; more, or more bytes
// of them together: the newest is given up.
inline constexpr std::size_t kUnsentRepliesMax = 16'384;
inline constexpr std::size_t kUnsentBytesMax = 64 * 1024 * 1024;
inline constexpr std::size_t kUnsentRetriesPerTurn = 64;
inline constexpr std::chrono::milliseconds kUnsentRetryInterval{1};
inline constexpr std::chrono::milliseconds kDrainTimeout{10'000};
inline constexpr unsigned kServerWorkersMax = 64;
// Threads for the methods that wait until something is durable, and how many each of them has under
// way: those that wait together share one sync.
inline constexpr unsigned kServerWriters = 8;
inline constexpr std::size_t kWritesPerWriter = 32;
// A worker inside one request for longer than this is replaced, so that others do not wait for it.
inline constexpr std::chrono::milliseconds kWorkerStall{1'000};
inline constexpr unsigned kWorkersReplacedMax = 32;  // Stuck at once; more: fewer workers are left.
inline constexpr std::size_t kPinSlotsMax = kServerWorkersMax + kWorkersReplacedMax + 8;

// --- clients of several daemons (protocol/client) ---
inline constexpr std::size_t kPoolDaemonsMax = 16;  // At most 64: a bit each.
inline constexpr std::size_t kPoolCallsMax = 4096;  // In flight; more are refused.
inline constexpr std::size_t kPoolRequestsPerMessage = 64;
inline constexpr std::chrono::milliseconds kPoolPingInterval{250};
inline constexpr std::chrono::milliseconds kPoolPingTimeout{500};  // Then it does not answer.
inline constexpr std::chrono::milliseconds kPoolScanInterval{50};

// --- plugins ---
inline constexpr std::size_t kPluginFileBytesMax = 64 * 1024 * 1024;
inline constexpr std::size_t kPluginNoteBytesMax = 4096;
inline constexpr std::size_t kPluginNameBytesMax = 64;
inline constexpr std::size_t kPluginMethodsMax = 64;
inline constexpr std::size_t kPluginGenerationsMax = 1024;  // Bound of [plugins] generations_max.
inline constexpr std::size_t kPluginMappedBytesMax = 256 * 1024 * 1024;  // Files of mapped images.
inline constexpr std::size_t kPluginReportsMax = 64;    // Reload reports kept in memory.
inline constexpr std::size_t kPluginHistoryMax = 500;   // Entries kept on disk per plugin.
inline constexpr std::size_t kPluginArtefactsKept = 8;  // Committed files kept for rolling back.
inline constexpr std::size_t kPluginReloadsQueuedMax = 64;
inline constexpr std::size_t kGoldenFileBytesMax = 1024 * 1024;
inline constexpr std::chrono::milliseconds kProbeTimeout{10'000};
inline constexpr std::uint64_t kProbeAddressSpaceBytes = std::uint64_t{1} << 30U;
inline constexpr std::uint64_t kProbeFilesMax = 64;
inline constexpr std::size_t kProbeOutputBytesMax = 64 * 1024;  // stdout and stderr of a candidate.
inline constexpr std::size_t kProbeReportBytesMax = 1024 * 1024;
inline constexpr int kProbeRepeats = 256;  // Of one request, to see whether memory grows.
inline constexpr std::chrono::milliseconds kWatchSettle{300};  // A file that is still changing.
inline constexpr std::size_t kPluginErrorBytesMax = 1024;
inline constexpr std::size_t kPluginCountersMax = 64;

// --- jobs ---
inline constexpr std::size_t kJobIdBytesMax = 128;
inline constexpr std::size_t kOrganizationIdBytesMax = 64;
inline constexpr std::size_t kJobMetadataBytesMax = 256 * 1024;
inline constexpr std::size_t kJobErrorsMax =
    200;  // Entries kept on a job, errors and warnings each.
inline constexpr std::size_t kJobEntryBytesMax = 8 * 1024;  // One error or warning entry.
inline constexpr std::size_t kJobTextBytesMax = 2048;       // Error text, stage, message.
inline constexpr std::size_t kJobListLimitDefault = 50;
inline constexpr std::size_t kJobListLimitMax = 500;
inline constexpr int kJobAttemptsDefault = 8;
inline constexpr int kJobAttemptsMax = 100;  // That a request may ask for.
inline constexpr int kJobInterruptionsMax = 50;
inline constexpr int kOrganizationRunningDefault = 2;
inline constexpr int kOrganizationRunningMax = 1'000;
inline constexpr int kOrganizationWeightMax = 100;
inline constexpr std::size_t kIdempotencyKeyBytesMax = 255;
inline constexpr std::int64_t kJobEventsMax = 1'000;  // Of one job.
inline constexpr std::size_t kJobEventsPage = 500;
inline constexpr std::chrono::seconds kJobEventMerge{60};
inline constexpr std::size_t kEventsQueuedMax =
    10'000;  // Of links and downloads; more are dropped and counted.
inline constexpr std::chrono::milliseconds kEventsFlushInterval{250};
inline constexpr std::size_t kRetentionBatch = 200;
inline constexpr std::size_t kNoticesPage = 200;
inline constexpr std::size_t kFsckPage = 500;
inline constexpr std::size_t kFsckFindingsMax = 1'000;             // Shown; all are counted.
inline constexpr std::chrono::seconds kJobTimesMax{366 * 86'400};  // Deadlines, delays, silences.
inline constexpr int kJobCrashesMax = 5;  // Daemon deaths one job may cause before it is failed.
inline constexpr std::chrono::milliseconds kJobPollInterval{1'000};
inline constexpr std::chrono::milliseconds kJobHeartbeatInterval{500};
// Between two tries to record how a job ended, while its registry cannot be written.
inline constexpr std::chrono::milliseconds kJobRecordInterval{1'000};
inline constexpr std::chrono::milliseconds kJobRetryBaseDefault{5'000};
inline constexpr std::chrono::seconds kJobRetryMaxDefault{600};
inline constexpr std::chrono::seconds kJobAttemptLimitDefault{6 * 3'600};
inline constexpr std::chrono::seconds kJobStallLimitDefault{900};
inline constexpr std::chrono::seconds kJobDeadlineDefault{86'400};
inline constexpr std::chrono::seconds kFileRetentionDefault{7 * 86'400};
inline constexpr std::chrono::seconds kJobRetentionDefault{30 * 86'400};
inline constexpr std::chrono::milliseconds kUpkeepInterval{1'000};
inline constexpr std::chrono::seconds kRetentionInterval{60};
inline constexpr std::size_t kExportWorkersMax = 16;
inline constexpr std::size_t kExportKeysMax = 10'000;  // product_keys of one request.
inline constexpr std::size_t kExportColumnsMax = 2'000;
inline constexpr std::size_t kExportFilterTermsMax = 100;
inline constexpr std::size_t kExportTemplatesMax = 200;  // Of one organization.
inline constexpr std::size_t kTemplateNameBytesMax = 128;
inline constexpr std::size_t kExportTemplateBytesMax = 256 * 1024;
inline constexpr std::size_t kExportNotesMax = 100;  // Of skipped rows, and of altered cells, each.

// --- notices ---
inline constexpr int kNoticeHighWater =
    10'000;  // Messages per subscriber; more are dropped for it.
inline constexpr std::chrono::milliseconds kNoticeInterval{
    100};  // Between two looks at the outbox.
inline constexpr std::chrono::milliseconds kWebhookTimeout{10'000};
inline constexpr std::size_t kWebhookAnswerBytesMax = 64 * 1024;
inline constexpr int kWebhookTriesMax = 15;  // Over about a day; then it is given up.
inline constexpr std::chrono::seconds kWebhookRetryBase{5};
inline constexpr std::chrono::seconds kWebhookRetryMax{4 * 3'600};
inline constexpr std::size_t kWebhookSecretBytesMin = 16;

// --- formats ---
inline constexpr std::uint32_t kXlsxRowsMax =
    1'048'576;  // Of a sheet, header included; then the next.
inline constexpr std::size_t kXlsxColumnsMax = 16'384;
inline constexpr std::size_t kXlsxCellUnitsMax = 32'767;  // UTF-16; longer ones are cut and marked.
inline constexpr std::uint64_t kXlsxSheetBytesMax =
    3'500'000'000;                                               // Unpacked; then the next sheet.
inline constexpr std::uint64_t kXlsxFileBytesMax = 0xffff'ffff;  // Of zip without its extension.

// --- catalog ---
inline constexpr std::size_t kProductLineBytesMax = 512 * 1024;  // One product as JSON.
inline constexpr std::size_t kProductKeyBytesMax = 512;
inline constexpr std::size_t kProductDepthMax = 24;
inline constexpr std::size_t kProductVariantsMax = 2'000;
inline constexpr std::size_t kProductLabelsMax = 100;
inline constexpr std::size_t kPriceLineBytesMax = 16 * 1024;
inline constexpr std::size_t kCatalogBatchRows = 500;
inline constexpr std::size_t kCatalogScanRows = 10'000;  // Looked at for one batch of a filter.
inline constexpr std::size_t kCatalogBatchBytes = 4 * 1024 * 1024;
inline constexpr std::size_t kImportErrorsShownMax = 100;
inline constexpr std::size_t kImportBatchBytes = 512 * 1024;  // One message of `catalog import`.

// --- files and links ---
inline constexpr std::size_t kFileKeyBytesMax = 1024;
inline constexpr std::size_t kFileNameBytesMax = 255;
inline constexpr std::size_t kFileUrlBytesMax = 2048;
inline constexpr std::size_t kFileWriteBufferBytes = 256 * 1024;
inline constexpr std::int64_t kLinkLifetimeSecondsDefault = 900;
inline constexpr std::int64_t kLinkLifetimeSecondsMax = 604'800;  // Seven days, the bound of SigV4.
inline constexpr std::size_t kStoresMax = 64;

// --- requests to others: object stores, and who hands out credentials ---
inline constexpr std::size_t kHttpAnswerBytesMax = 4 * 1024 * 1024;  // A page of a bucket's list.
inline constexpr std::chrono::milliseconds kHttpConnectTimeout{5'000};
inline constexpr std::chrono::seconds kHttpStall{30};  // Without a kilobyte a second.
// What puts the parts of an upload together may think for minutes before it answers.
inline constexpr std::chrono::seconds kUploadCompleteStall{600};
inline constexpr int kHttpTriesMax = 6;  // Of one request that can be repeated.
inline constexpr std::chrono::milliseconds kHttpBackoffBase{200};
inline constexpr std::chrono::milliseconds kHttpBackoffMax{10'000};

// --- credentials of stores ---
inline constexpr std::chrono::milliseconds kCredentialTimeout{5'000};  // One fetch, all of it.
inline constexpr std::size_t kCredentialAnswerBytesMax = 64 * 1024;
inline constexpr std::chrono::milliseconds kCredentialWatchInterval{500};  // Looks at the files.
inline constexpr std::chrono::seconds kCredentialAhead{300};   // Renewed this long before the end.
inline constexpr std::chrono::seconds kCredentialRetryMin{1};  // After a failed fetch, doubling.
inline constexpr std::chrono::seconds kCredentialRetryMax{60};
// Somebody who hands out the same credentials again is asked again after this long.
inline constexpr std::chrono::seconds kCredentialSameAgain{60};

// --- uploads ---
inline constexpr std::size_t kUploadPartBytesDefault = 8 * 1024 * 1024;
inline constexpr std::size_t kUploadPartBytesMin = 5 * 1024 * 1024;  // S3's own bound.
inline constexpr std::size_t kUploadPartBytesMax = 64 * 1024 * 1024;
inline constexpr std::size_t kUploadPartsMax = 10'000;         // S3's own bound.
inline constexpr std::size_t kUploadBlocksMax = 50'000;        // Azure's own bound.
inline constexpr std::int64_t kUploadLinkSeconds = 900;        // What one request is signed for.
inline constexpr std::size_t kUploadRowBytesEstimate = 1'024;  // Of one product, when guessing.
inline constexpr std::chrono::seconds kOrphanGraceDefault{24 * 3'600};
inline constexpr std::chrono::seconds kOrphanSweepInterval{3'600};
inline constexpr std::chrono::seconds kOrphanSweepFirst{60};  // After the start.

// --- configuration and keys ---
inline constexpr std::size_t kConfigFileBytesMax = 1024 * 1024;
inline constexpr std::size_t kSecretFileBytesMax = 64 * 1024;
inline constexpr std::size_t kApiKeysMax = 100'000;

// --- sessions (docs/identity.md) ---
inline constexpr std::size_t kJwksKeysMax = 32;
inline constexpr std::size_t kJwksBytesMax = 256 * 1024;
inline constexpr std::size_t kJwtKidBytesMax = 256;
inline constexpr std::size_t kJwtDepthMax = 8;
inline constexpr std::size_t kSubjectBytesMax = 128;
inline constexpr std::size_t kMembershipsMax = 64;  // In one token.
inline constexpr std::size_t kMemberRolesMax = 32;
inline constexpr std::size_t kMembersMax = 100'000;
inline constexpr std::size_t kSessionsMax = 100'000;  // Opaque, and not over.
inline constexpr std::chrono::seconds kSessionLengthMax{366 * 86'400};
inline constexpr std::size_t kTokensCachedMax = 10'000;  // The oldest goes.
inline constexpr std::chrono::seconds kClockToleranceDefault{5};
inline constexpr std::chrono::seconds kClockToleranceMax{300};
inline constexpr std::chrono::seconds kJwksRefreshDefault{300};
inline constexpr std::chrono::seconds kJwksRefreshSoonest{10};  // However many unknown kids come.
inline constexpr std::chrono::milliseconds kAuthFilesInterval{1'000};  // Looked at this often.
inline constexpr std::chrono::seconds kSessionCacheDefault{
    10};  // So long a revoked one still works.
inline constexpr std::chrono::milliseconds kSessionAskTimeout{3'000};
inline constexpr int kSessionAskFailuresMax = 5;  // In a row; then nobody is asked for a while.
inline constexpr std::chrono::seconds kSessionAskPause{10};
inline constexpr unsigned kServerIdentifiers = 4;   // Threads that ask, of the data server.
inline constexpr std::size_t kIdentifyingMax = 64;  // Requests waiting for them; more: unavailable.

// --- databases ---
inline constexpr int kDatabaseBusyTimeoutMs = 5'000;
inline constexpr std::int64_t kDatabaseJournalBytesMax = 16 * 1024 * 1024;
inline constexpr int kDatabaseCheckpointPages = 2'000;
inline constexpr std::size_t kDatabaseGroupCommitMax = 256;  // Writes that share one commit.
// At once, of one database; a reader more waits. Above what exports hold, so that requests never
// wait for one of those.
inline constexpr std::size_t kDatabaseReadersMax = 32;
inline constexpr int kDatabaseWriterCacheKib = 8 * 1024;  // Pages kept in memory, of one database.

// --- HTTP (docs/http.md) ---
inline constexpr std::size_t kHttpHeaderBytesMax =
    16 * 1024;  // Above a credential, below nonsense.
inline constexpr std::size_t kHttpHeaderFieldsMax = 64;
inline constexpr std::size_t kHttpTargetBytesMax = 2048;
inline constexpr std::size_t kHttpBodyBytesMax = kRequestBytesMax - 64 * 1024;
inline constexpr std::size_t kHttpConnectionsMax = 4096;
inline constexpr std::size_t kHttpRequestsPerConnectionMax = 1000;
inline constexpr std::chrono::seconds kHttpHeaderTimeout{5};
inline constexpr std::chrono::seconds kHttpBodyTimeout{10};
inline constexpr std::chrono::seconds kHttpIdleTimeout{30};
inline constexpr std::chrono::seconds kHttpWriteTimeout{30};  // Without any progress.
inline constexpr std::chrono::seconds kHttpDrainTimeout{10};
inline constexpr int kHttpRetryAfterSeconds = 1;
inline constexpr std::size_t kHttpBodyBytesInFlightMax =
    64 * 1024 * 1024;  // All bodies; more: 503.
inline constexpr std::size_t kHttpListenersMax = 16;
inline constexpr std::size_t kHttpTrustedProxiesMax = 64;
inline constexpr std::size_t kRateEntriesMax =
    100'000;  // Callers remembered; then all are forgotten.
inline constexpr std::size_t kHttpRateMax = 1'000'000;  // Bound of the configured rates, a second.

// --- data socket over TCP (docs/wire_protocol.md) ---
inline constexpr std::size_t kCurveClientsMax = 1'000;      // Keys that may connect.
inline constexpr std::size_t kTcpConnectionsDefault = 256;  // More wait in the backlog.
inline constexpr std::size_t kTcpConnectionsMax = 10'000;

static_assert(kTransportMessageBytesMax > kRequestBytesMax, "too_large must be answerable");
static_assert(kHttpBodyBytesMax < kRequestBytesMax, "a body the shim takes must fit a message");
static_assert(kCredentialBytesMax < kHttpHeaderBytesMax, "a legal credential must fit the headers");
static_assert(kImportBatchBytes + 64 * 1024 < kRequestBytesMax, "an import batch fits a message");
static_assert(kProductLineBytesMax <= kImportBatchBytes, "one product line fits a batch");
static_assert(kDeadlineDefaultMs <= kDeadlineMaxMs);
static_assert(kDatabaseReadersMax > kExportWorkersMax, "a request must not wait for exports");
static_assert(kPoolPingInterval + kPoolPingTimeout + kPoolScanInterval < std::chrono::seconds(1),
              "a daemon that does not answer is noticed within a second");
static_assert(kServerWriters * kWritesPerWriter <= kDatabaseGroupCommitMax,
              "more would wait for the next commit");
static_assert(kHeartbeatTimeout > 2 * kHeartbeatInterval, "one lost heartbeat is not a dead peer");
static_assert(kRequestIdBytesMax < kJobIdBytesMax);
static_assert(kUploadPartBytesMin <= kUploadPartBytesDefault);
static_assert(kUploadPartBytesDefault <= kUploadPartBytesMax);

}  // namespace export_worker::limits
