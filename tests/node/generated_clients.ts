// Every operation of the document, called by two generated clients: openapi-fetch with the types of openapi-typescript, and
// orval's. What each answered goes to stdout, a line an operation: "openapi-fetch listJobs 200".
//   node generated_clients.js BASE KEY EXPORT_JOB
import createClient from 'openapi-fetch';
import type { paths } from './schema.js';
import * as orval from './orval.js';

declare const process: { argv: string[] };
const [base, key, job] = process.argv.slice(2) as [string, string, string];
// As the daemon reads times: whole seconds.
const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 19) + 'Z';
const headers = { Authorization: `Bearer ${key}` };
const say = (client: string, operation: string, status: number) => console.log(client, operation, status);

async function withOpenapiFetch(): Promise<void> {
    const client = createClient<paths>({ baseUrl: base, headers });
    const path = { job_id: job };
    const say1 = (operation: string, answer: { response: Response }) => say('openapi-fetch', operation, answer.response.status);
    const made = await client.POST('/api/jobs/', { body: { job_type: 'crawl', total_items: 2 } });
    say1('createJob', made);
    const own = { job_id: made.data!.job_id };
    const later = await client.POST('/api/products/export-async', { body: { format: 'csv', start_at: tomorrow } });
    const waiting = { job_id: later.data!.job_id };
    const link = await client.GET('/api/products/export/{job_id}/download-url', { params: { path } });
    say1('getExportDownloadUrl', link);
    if (!link.data!.download_url.startsWith('http') || link.data!.expires_in_seconds <= 0) throw new Error(JSON.stringify(link.data));
    say1('exportProductsAsync', await client.POST('/api/products/export-async', {
        body: { format: 'csv', columns: ['key', { property: 'name', header: 'Name', format: 'text' }] },
        params: { header: { 'Idempotency-Key': 'generated' } },
    }));
    const list = await client.GET('/api/jobs/', { params: { query: { limit: 5, status: 'completed' } } });
    say1('listJobs', list);
    if (!list.data!.items.some((item) => item.job_id === job)) throw new Error(JSON.stringify(list.data));
    say1('getJob', await client.GET('/api/jobs/{job_id}', { params: { path } }));
    say1('getJobStatus', await client.GET('/api/jobs/{job_id}/status', { params: { path } }));
    say1('getJobEvents', await client.GET('/api/jobs/{job_id}/events', { params: { path, query: { after: 0 } } }));
    say1('holdJob', await client.POST('/api/jobs/{job_id}/hold', { params: { path: waiting } }));
    say1('releaseJob', await client.POST('/api/jobs/{job_id}/release', { params: { path: waiting } }));
    say1('reportJobProgress', await client.POST('/api/jobs/{job_id}/progress', {
        params: { path: own }, body: { mark_started: true, processed_items: 1, warning: { entity_key: 'a', error_type: 'odd', message: 'm' } },
    }));
    say1('cancelJob', await client.POST('/api/jobs/{job_id}/cancel', { params: { path: own } }));
    say1('retryJob', await client.POST('/api/jobs/{job_id}/retry', { params: { path } }));
    say1('livez', await client.GET('/livez'));
    say1('readyz', await client.GET('/readyz'));
}

async function withOrval(): Promise<void> {
    const options = { headers };
    const say2 = (operation: string, answer: { status: number }) => say('orval', operation, answer.status);
    const made = await orval.createJob({ job_type: 'crawl', total_items: 2 }, options);
    say2('createJob', made);
    if (made.status !== 200) throw new Error(JSON.stringify(made));
    const own = made.data.job_id;
    say2('getExportDownloadUrl', await orval.getExportDownloadUrl(job, options));
    const later = await orval.exportProductsAsync({ format: 'jsonl', start_at: tomorrow }, options);
    say2('exportProductsAsync', later);
    if (later.status !== 202) throw new Error(JSON.stringify(later));
    const waiting = later.data.job_id;
    say2('listJobs', await orval.listJobs({ limit: 5 }, options));
    say2('getJob', await orval.getJob(job, options));
    say2('getJobStatus', await orval.getJobStatus(job, options));
    say2('getJobEvents', await orval.getJobEvents(job, { after: 0 }, options));
    say2('holdJob', await orval.holdJob(waiting, options));
    say2('releaseJob', await orval.releaseJob(waiting, options));
    say2('reportJobProgress', await orval.reportJobProgress(own, { mark_started: true, processed_items: 1 }, options));
    say2('cancelJob', await orval.cancelJob(own, options));
    say2('retryJob', await orval.retryJob(job, options));
    say2('livez', await orval.livez());
    say2('readyz', await orval.readyz());
}

await withOpenapiFetch();
await withOrval();
