// An S3 that verifies: s3rver keeps the objects, and this gate in front of it checks the query signature of every request.
// s3rver 3.7.1 looks at the form of a version 4 signature only, so the check is made here, of AWS's own parts
// (@smithy/signature-v4) and Node's crypto.
//   node s3_gate.js PORT DIRECTORY BUCKET ACCESS_KEY_ID SECRET
const crypto = require('crypto');
const http = require('http');
const { createRequire } = require('module');
const fromPeers = createRequire(process.env.NODE_PATH + '/');
const S3rver = fromPeers('s3rver');
const { getCanonicalQuery } = fromPeers('@smithy/signature-v4');

const [port, directory, bucket, accessKeyId, secret] = process.argv.slice(2);
const hmac = (key, text) => crypto.createHmac('sha256', key).update(text).digest();
const sha256 = (text) => crypto.createHash('sha256').update(text).digest('hex');

class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    Object.assign(this, { status, code });
  }
}

function verify(request) {
  const [path, search = ''] = request.url.split('?');
  const query = {};
  for (const pair of search.split('&')) {
    const equals = pair.indexOf('=');
    // decodeURIComponent leaves '+' alone, as S3 does.
    const name = decodeURIComponent(equals < 0 ? pair : pair.slice(0, equals));
    if (name in query) throw new Refusal(400, 'InvalidArgument', 'a parameter twice');
    query[name] = equals < 0 ? '' : decodeURIComponent(pair.slice(equals + 1));
  }
  const signature = query['X-Amz-Signature'];
  delete query['X-Amz-Signature'];
  if (!signature) throw new Refusal(403, 'AccessDenied', 'no signature');
  if (query['X-Amz-Algorithm'] !== 'AWS4-HMAC-SHA256') throw new Refusal(400, 'AuthorizationQueryParametersError', 'algorithm');
  const parts = (query['X-Amz-Credential'] || '').split('/');
  const [day, region, service, terminator] = parts.slice(-4);
  const keyId = parts.slice(0, -4).join('/');  // May have slashes of its own.
  const match = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(query['X-Amz-Date'] || '');
  const expires = /^\d+$/.test(query['X-Amz-Expires'] || '') ? Number(query['X-Amz-Expires']) : 0;
  if (!match || !query['X-Amz-Date'].startsWith(day) || region !== 'us-east-1' || service !== 's3' || terminator !== 'aws4_request') {
    throw new Refusal(400, 'AuthorizationQueryParametersError', 'date or scope');
  }
  if (expires < 1 || expires > 604800) throw new Refusal(400, 'AuthorizationQueryParametersError', 'X-Amz-Expires');
  if (keyId !== accessKeyId) throw new Refusal(403, 'InvalidAccessKeyId', 'no such key');
  const at = Date.UTC(match[1], match[2] - 1, match[3], match[4], match[5], match[6]);
  const names = (query['X-Amz-SignedHeaders'] || '').split(';');
  if (!names.includes('host')) throw new Refusal(403, 'AccessDenied', 'host must be signed');
  for (const name of Object.keys(request.headers)) {
    if ((name.startsWith('x-amz-') || name === 'content-md5') && !names.includes(name)) {
      throw new Refusal(403, 'AccessDenied', `${name} must be signed`);
    }
  }
  const headers = names.map((name) => `${name}:${(request.headers[name] || '').trim().replace(/\s+/g, ' ')}\n`).join('');
  const canonical = [request.method, path, getCanonicalQuery({ query }), headers, names.join(';'), 'UNSIGNED-PAYLOAD'].join('\n');
  const scope = [day, region, service, terminator].join('/');
  const toSign = ['AWS4-HMAC-SHA256', query['X-Amz-Date'], scope, sha256(canonical)].join('\n');
  const key = [day, region, service, terminator].reduce(hmac, 'AWS4' + secret);
  if (hmac(key, toSign).toString('hex') !== signature) throw new Refusal(403, 'SignatureDoesNotMatch', 'the signature differs');
  if (at > Date.now() + 15 * 60 * 1000) throw new Refusal(403, 'AccessDenied', 'Request is not yet valid');
  if (Date.now() >= at + expires * 1000) throw new Refusal(403, 'AccessDenied', 'Request has expired');
}

async function main() {
  const store = new S3rver({
    address: '127.0.0.1', port: 0, silent: true, directory, vhostBuckets: false, configureBuckets: [{ name: bucket }],
  });
  const { port: behind } = await store.run();
  http.createServer((request, response) => {
    const pieces = [];
    request.on('data', (piece) => pieces.push(piece));
    request.on('end', () => {
      const body = Buffer.concat(pieces);
      try {
        verify(request);
        const md5 = request.headers['content-md5'];
        if (md5 && crypto.createHash('md5').update(body).digest('base64') !== md5) throw new Refusal(400, 'BadDigest', 'Content-MD5');
      } catch (refusal) {
        const status = refusal.status || 400;
        response.writeHead(status, { 'content-type': 'application/xml' });
        response.end(`<Error><Code>${refusal.code || 'InvalidRequest'}</Code><Message>${refusal.message}</Message></Error>`);
        return;
      }
      // s3rver knows one key, and only asks for its name.
      const path = request.url.replace(`X-Amz-Credential=${encodeURIComponent(accessKeyId)}%2F`, 'X-Amz-Credential=S3RVER%2F');
      const headers = { ...request.headers, 'content-length': body.length };
      const onward = http.request({ host: '127.0.0.1', port: behind, method: request.method, path, headers }, (answer) => {
        response.writeHead(answer.statusCode, answer.headers);
        answer.pipe(response);
      });
      onward.on('error', () => response.destroy());
      onward.end(body);
    });
  }).listen(Number(port), '127.0.0.1');
}

main();
