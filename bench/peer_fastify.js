// The peer in Node: what one would write with Fastify, the AWS SDK and SQLite. peer_fastify.js PORT; environment: PEER_DATABASE,
// PEER_KEY_SHA256, PEER_MODULES (where node_modules lies).
const { createHash, timingSafeEqual } = require("node:crypto");
const load = require("node:module").createRequire(process.env.PEER_MODULES + "/x.js");
const Database = load("better-sqlite3");
const { S3Client, GetObjectCommand } = load("@aws-sdk/client-s3");
const { getSignedUrl } = load("@aws-sdk/s3-request-presigner");
const app = load("fastify")();

const database = new Database(process.env.PEER_DATABASE, { readonly: true });
const find = database.prepare("SELECT status, file_url, filename FROM job WHERE job_id = ? AND organization_id = ?");
const wanted = Buffer.from(process.env.PEER_KEY_SHA256, "hex");
const s3 = new S3Client({ region: "eu-central-1", credentials: { accessKeyId: "AKIAEXAMPLE", secretAccessKey: "secret" } });

app.get("/api/products/export/:job_id/download-url", async (request, reply) => {
  const header = request.headers.authorization;
  if (!header) return reply.code(401).send({ detail: "Not authenticated" });
  const digest = createHash("sha256").update(header.replace(/^Bearer /, "")).digest();
  if (!timingSafeEqual(digest, wanted)) return reply.code(401).send({ detail: "Invalid credentials" });
  const row = find.get(request.params.job_id, "acme");
  if (!row) return reply.code(404).send({ detail: "Export job not found" });
  if (row.status !== "completed") return reply.code(409).send({ detail: `Export job is ${row.status}` });
  const place = new URL(row.file_url);
  const command = new GetObjectCommand({ Bucket: place.host, Key: place.pathname.slice(1), ResponseContentDisposition: `attachment; filename="${row.filename}"` });
  return { download_url: await getSignedUrl(s3, command, { expiresIn: 900 }), filename: row.filename, expires_in_seconds: 900 };
});
app.listen({ host: "127.0.0.1", port: Number(process.argv[2]) }).then(() => console.log("ready"));
