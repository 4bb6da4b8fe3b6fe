// What the vendor's own client sees of some builds of a service, as JSON.
// node northflank_sees.mjs URL TOKEN PROJECT SERVICE BUILD…
import { ApiClient, ApiClientInMemoryContextProvider } from '@northflank/js-client';

const [host, token, projectId, serviceId, ...builds] = process.argv.slice(2);
const contexts = new ApiClientInMemoryContextProvider();
await contexts.addContext({ name: 'simulator', token, host });
const client = new ApiClient(contexts, { throwErrorOnHttpErrorCode: true });

const seen = builds.map(async (buildId) => {
  const { data } = await client.get.service.build({ parameters: { projectId, serviceId, buildId } });
  return { id: data.id, status: data.status, sha: data.sha };
});
console.log(JSON.stringify(await Promise.all(seen)));
