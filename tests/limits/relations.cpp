// What must hold between the limits of different folders. Compiling this file is the test.
#include "base/limits.hpp"
#include "base/shared_limits.hpp"
#include "daemon/app/limits.hpp"
#include "daemon/cluster/limits.hpp"
#include "daemon/config/limits.hpp"
#include "daemon/control/limits.hpp"
#include "daemon/export/limits.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/model/limits.hpp"
#include "daemon/notices/limits.hpp"
#include "daemon/plugins/routing/limits.hpp"
#include "daemon/postgres/limits.hpp"
#include "daemon/server/limits.hpp"
#include "daemon/sqlite/limits.hpp"
#include "exportctl/limits.hpp"
#include "http_shim/limits.hpp"
#include "protocol/client/limits.hpp"
#include "protocol/message/limits.hpp"
#include "protocol/transport/limits.hpp"
#include "signing/limits.hpp"

namespace export_worker::limits {

static_assert(kLeaseLengthMin - kLeaseInterval > kLeaseMargin,
              "a renewal counts when the lease before it was good for the margin");
static_assert(kLeaseLengthMin - kLeaseMargin > 2 * kLeaseInterval,
              "a daemon takes itself for ended only when a renewal was missed");
static_assert(kLeaderLength - kLeaseMargin > 2 * kLeaseInterval, "the same for the leader");
static_assert(kLeaseLengthMin <= kLeaseLengthDefault && kLeaseLengthDefault <= kLeaseLengthMax,
              "the default is one of those that are accepted");
static_assert(kTransportMessageBytesMax > kRequestBytesMax, "too_large must be answerable");
static_assert(kTransportMessageBytesMax > kReplyBytesMax, "a legal reply must fit a message");
static_assert(kHttpBodyBytesMax < kRequestBytesMax, "a body the shim takes must fit a message");
static_assert(kHttpBodyBytesMax <= kHttpBodiesHeldPerAddressBytesMax,
              "the largest body must fit the share of its address");
static_assert(kCredentialBytesMax < kHttpHeaderBytesMax, "a legal credential must fit the headers");
static_assert(kImportBatchBytes + 64 * 1024 < kRequestBytesMax, "an import batch fits a message");
static_assert(kProductLineBytesMax <= kImportBatchBytes, "one product line fits a batch");
static_assert(kExportTemplateBytesMax <= kTemplateFileBytesMax, "a legal template can be put");
static_assert(kTemplateFileBytesMax < kRequestBytesMax, "a template must fit a message");
static_assert(kBackupPieceBytes / 3 * 4 + 64 * 1024 < kReplyBytesMax, "a piece as base64 fits");
static_assert(kPluginPieceBytes / 3 * 4 + 64 * 1024 < kRequestBytesMax, "a piece as base64 fits");
static_assert(kBackupManifestBytesMax < kReplyBytesMax, "a manifest fits a reply");
static_assert(kDeadlineDefaultMs <= kDeadlineMaxMs);
static_assert(kHttpFirstRequestDrainTimeout < kHttpDrainTimeout);
static_assert(kLogAlarmBytes >= 2 * kDatabaseLogBytesMax,
              "a log that is being emptied is no alarm");
static_assert(kPostgresLockTimeout < kPostgresStatementTimeout,
              "a wait for a lock has an error of its own");
static_assert(kPostgresStatementTimeout < kPostgresRetryTimeMax,
              "what was given up once may run again");
static_assert(kFileCacheTime + std::chrono::seconds(5) <= kFileDeletionMargin,
              "the last link to a withdrawn file ends before the file is deleted");
static_assert(2 * kFileChangesInterval <= kFileCacheTime, "one late answer empties no cache");
static_assert(kWebhookTimeout + kPostgresRetryTimeMax < kDeliveryLease,
              "a webhook that answers is marked before another daemon delivers again");
static_assert(kDatabaseReadersMax > kExportWorkersMax, "a request must not wait for exports");
static_assert(kDatabaseLogBytesReserved > std::int64_t{kDatabaseCheckpointPages} * 4'120,
              "the log has room until its checkpoint");
static_assert(kPoolDaemonsMax <= 64, "the pool keeps a bit for each daemon");
static_assert(kPoolPingInterval + kPoolPingTimeout + kPoolScanInterval < std::chrono::seconds(1),
              "a daemon that does not answer is noticed within a second");
static_assert(kPoolPingsMissedMax * (kPoolPingTimeout + kPoolScanInterval) <
                  std::chrono::milliseconds(2'500),
              "a silent daemon is not asked for longer than that");
static_assert(kServerCommitWorkers * kCallsPerCommitWorker <= kDatabaseGroupCommitMax,
              "more would wait for the next commit");
static_assert(kPinSlotsMax >= kPluginWorkerGroupsMax * (kServerWorkersMax + kWorkersReplacedMax) +
                                  kOperatorCallsMax + 8,
              "every thread that may be inside a plugin has a slot");
// What one peer alone can hold is more, so that it hears "overloaded".
static_assert(kUnsentPeerWorkBytesMax < kUnsentBytesMax / 2);
static_assert(kUnsentPeerWorkRepliesMax + kPeerCallsMax < kUnsentRepliesMax / 2);
static_assert(kCallsBytesMax > kTransportMessageBytesMax, "a message can be refused by its size");
static_assert(kTcpConnectionsDefault <= kTcpConnectionsMax);
static_assert(kTcpUnackedMax >= kKeepaliveIdle + kKeepaliveProbes * kKeepaliveInterval,
              "one lost probe is not a dead peer");
static_assert(kMessageBytesMax > kTransportMessageBytesMax, "a legal frame and its envelope fit");
static_assert(kPoolMessageBytesMax + kRequestBytesMax < kMessageBytesMax);
static_assert(kPoolRequestsPerMessage < kMessageFramesMax, "the pool's messages are legal");
// A number of 3 digits and its comma in JSON has 9 bytes in msgpack.
static_assert(3 * (kJobMetadataBytesMax + 2 * kJobEntriesShownBytesMax) < kReplyBytesMax,
              "every job can be read");
static_assert(kJobEntriesShownMax >= kExportNotesMax, "all that an export notes is shown");
static_assert(kPeerBytesInFlightMax > kReplyBytesMax, "two replies may be under way");
static_assert(kPeerBytesInFlightMax < kBytesInFlightMax, "one peer does not stop the others");
static_assert(kRequestIdBytesMax < kJobIdBytesMax);
// The configuration knows no database: its defaults and bounds are those of the folders behind it.
static_assert(kDatabaseLeaseMin == kLeaseLengthMin && kDatabaseLeaseMax == kLeaseLengthMax);
static_assert(kDatabaseLeaseDefault == kLeaseLengthDefault);
static_assert(kDatabaseConnectionsDefault == kPostgresConnectionsDefault);
static_assert(kLookupCacheDefault == kFileCacheEntriesDefault);
static_assert(kUploadPartBytesMin <= kUploadPartBytesDefault);
static_assert(kUploadPartBytesDefault <= kUploadPartBytesMax);

}  // namespace export_worker::limits
