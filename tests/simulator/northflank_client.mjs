// Reads the simulator with the vendor's own client, and prints what it saw as JSON.
// node northflank_client.mjs URL TOKEN
import { ApiClient, ApiClientInMemoryContextProvider } from '@northflank/js-client';

const [host, token] = process.argv.slice(2);
const contexts = new ApiClientInMemoryContextProvider();
await contexts.addContext({ name: 'simulator', token, host });
const client = new ApiClient(contexts, { throwErrorOnHttpErrorCode: true });

const parameters = { projectId: 'project-0' };
const service = { ...parameters, serviceId: 'service-0' };
const job = { ...parameters, jobId: 'job-0' };

const pages = [];
let page = await client.get.service.builds({ parameters: service, options: { per_page: 60 } });
while (page.data.builds.length > 0) {
  pages.push(page.data.builds.map((build) => build.id));
  page = await page.pagination.getNextPage();
}

const started = await client.start.service.build({ parameters: service, data: { branch: 'hotfix' } });
const buildId = started.data.id;
await client.abort.service.build({ parameters: { ...service, buildId } });
const aborted = await client.get.service.build({ parameters: { ...service, buildId } });

let refused = null;
try {
  await client.list.services({ parameters: { projectId: 'none' } });
} catch (error) {
  refused = { status: error.status, message: error.message };
}

console.log(
  JSON.stringify({
    projects: (await client.list.projects.all({ options: { per_page: 1 } })).data.projects.map((project) => project.id),
    services: (await client.list.services.all({ parameters, options: { per_page: 3 } })).data.services,
    jobs: (await client.list.jobs.all({ parameters, options: { per_page: 2 } })).data.jobs.map((one) => one.id),
    pages,
    jobBuilds: (await client.get.job.builds.all({ parameters: job })).data.builds.map((build) => build.id),
    aborted: aborted.data,
    refused,
  }),
);
