// The providers' own SDKs as signers: the requests of `exportctl sign` on stdin, one JSON object a line; one answer a line.
//   {"url": ...} as the SDK makes it, or {"error": ...}
// With --bench PROVIDER COUNT: nanoseconds per URL for the first line of stdin, asked COUNT times.
const readline = require('readline');
const { createRequire } = require('module');
const fromPeers = createRequire(process.env.NODE_PATH + '/');

const peers = {
  s3() {
    const { S3Client, GetObjectCommand, HeadObjectCommand } = fromPeers('@aws-sdk/client-s3');
    const { getSignedUrl } = fromPeers('@aws-sdk/s3-request-presigner');
    const clients = new Map();  // As a service would: made once.
    return (r) => {
      const name = JSON.stringify([r.region, r.endpoint, r.addressing, r.access_key_id, r.secret_access_key, r.session_token]);
      if (!clients.has(name)) {
        clients.set(name, new S3Client({
          region: r.region, endpoint: r.endpoint || undefined, forcePathStyle: r.addressing === 'path',
          credentials: { accessKeyId: r.access_key_id, secretAccessKey: r.secret_access_key, sessionToken: r.session_token || undefined },
        }));
      }
      const input = { Bucket: r.bucket, Key: r.key };
      const names = { 'response-content-disposition': 'ResponseContentDisposition', 'response-content-type': 'ResponseContentType',
        'response-cache-control': 'ResponseCacheControl', 'response-content-encoding': 'ResponseContentEncoding',
        'response-content-language': 'ResponseContentLanguage', versionId: 'VersionId' };
      for (const [parameter, value] of Object.entries(r.query || {})) if (names[parameter]) input[names[parameter]] = value;
      const command = r.method === 'HEAD' ? new HeadObjectCommand(input) : new GetObjectCommand(input);
      return getSignedUrl(clients.get(name), command, { expiresIn: r.expires_in, signingDate: new Date(r.at) });
    };
  },
  gcs() {
    const { Storage } = fromPeers('@google-cloud/storage');
    const clients = new Map();
    return async (r) => {
      const name = r.client_email;
      if (!clients.has(name)) clients.set(name, new Storage({ credentials: { client_email: r.client_email, private_key: r.private_key_pem } }));
      const at = new Date(r.at);
      const [url] = await clients.get(name).bucket(r.bucket).file(r.object).getSignedUrl({
        version: 'v4', action: r.method === 'PUT' ? 'write' : 'read', accessibleAt: at, expires: new Date(at.getTime() + r.expires_in * 1000),
        virtualHostedStyle: r.style === 'virtual', cname: r.style === 'bucket_bound' ? `${r.scheme}://${r.bucket_bound_hostname}` : undefined,
        queryParams: r.query, extensionHeaders: r.headers,
      });
      return url;
    };
  },
  azure() {
    const azure = fromPeers('@azure/storage-blob');
    return (r) => {
      const o = r.overrides || {};
      const time = (text) => (text ? new Date(text) : undefined);
      const values = {
        containerName: r.container, blobName: r.resource === 'c' ? undefined : r.blob, version: r.version,
        permissions: r.permissions ? (r.resource === 'c' ? azure.ContainerSASPermissions : azure.BlobSASPermissions).parse(r.permissions) : undefined,
        startsOn: time(r.start), expiresOn: time(r.expiry), identifier: r.identifier || undefined,
        ipRange: r.ip ? { start: r.ip.split('-')[0], end: r.ip.split('-')[1] } : undefined, protocol: r.protocol || undefined,
        snapshotTime: r.snapshot || undefined, versionId: r.version_id || undefined, encryptionScope: r.encryption_scope || undefined,
        cacheControl: o.cache_control || undefined, contentDisposition: o.content_disposition || undefined,
        contentEncoding: o.content_encoding || undefined, contentLanguage: o.content_language || undefined, contentType: o.content_type || undefined,
        correlationId: r.correlation_id || undefined, preauthorizedAgentObjectId: r.preauthorized_agent_object_id || undefined,
      };
      const d = r.user_delegation_key;
      const token = d
        ? azure.generateBlobSASQueryParameters(values, { signedObjectId: d.signed_oid, signedTenantId: d.signed_tid,
          signedStartsOn: new Date(d.signed_start), signedExpiresOn: new Date(d.signed_expiry), signedService: d.signed_service,
          signedVersion: d.signed_version, value: d.value }, r.account)
        : azure.generateBlobSASQueryParameters(values, new azure.StorageSharedKeyCredential(r.account, r.account_key));
      // The URL as the client library makes it.
      const container = new azure.ContainerClient(`${r.endpoint}/${encodeURIComponent(r.container)}`);
      const base = r.resource === 'c' ? container.url : container.getBlobClient(r.blob).url;
      return `${base}?${token.toString()}`;
    };
  },
  cloudfront() {
    const { getSignedUrl } = fromPeers('@aws-sdk/cloudfront-signer');
    return (r) => {
      const input = { url: r.url, keyPairId: r.key_pair_id, privateKey: r.private_key_pem };
      if (r.hash === 'SHA256') input.algorithm = 'SHA256';
      if (r.policy_json) return getSignedUrl({ ...input, policy: r.policy_json });
      input.dateLessThan = new Date(r.expires_at * 1000).toISOString();
      if (r.starts_at) input.dateGreaterThan = new Date(r.starts_at * 1000).toISOString();
      if (r.ip) input.ipAddress = r.ip;
      return getSignedUrl(input);
    };
  },
};

async function main() {
  const lines = [];
  for await (const line of readline.createInterface({ input: process.stdin })) lines.push(JSON.parse(line));
  if (process.argv[2] === '--bench') {
    const [provider, count] = [process.argv[3], Number(process.argv[4])];
    const sign = peers[provider]();
    let best = Infinity;
    for (let round = 0; round < 5; ++round) {  // The first ones warm the compiler up.
      const begin = process.hrtime.bigint();
      for (let index = 0; index < count; ++index) await sign(lines[0]);
      best = Math.min(best, Number(process.hrtime.bigint() - begin) / count);
    }
    console.log(Math.round(best));
    return;
  }
  const made = {};
  for (const line of lines) {
    made[line.provider] ??= peers[line.provider]();
    try {
      console.log(JSON.stringify({ url: await made[line.provider](line) }));
    } catch (error) {
      console.log(JSON.stringify({ error: String(error.message) }));
    }
  }
}

main();
