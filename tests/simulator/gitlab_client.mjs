// Reads the simulator's GitLab with the client of @gitbeaker/rest, and prints what it saw as JSON.
// node gitlab_client.mjs URL TOKEN PROJECT
import { Gitlab } from '@gitbeaker/rest';

const [host, token, project] = process.argv.slice(2);
const api = new Gitlab({ host, token });

const pipelines = await api.Pipelines.all(project, { orderBy: 'updated_at', perPage: 2 });
const parent = await api.Pipelines.show(project, pipelines.at(-1).id);
const bridges = await api.Jobs.allPipelineBridges(project, parent.id);
const manual = await api.Jobs.all(project, { scope: ['manual'], pipelineId: parent.id });

let gone = null;
try {
  await api.Branches.show(project, 'gone');
} catch (error) {
  gone = { status: error.cause.response.status, message: error.message };
}

const played = await api.Jobs.play(project, manual[0].id);
console.log(
  JSON.stringify({
    pipelines: pipelines.map(({ id, status, source }) => ({ id, status, source })),
    children: (await api.Pipelines.all(project, { source: 'parent_pipeline' })).map(({ id }) => id),
    parent: { id: parent.id, status: parent.status, coverage: parent.coverage },
    downstream: bridges.map((bridge) => bridge.downstream_pipeline.id),
    jobs: (await api.Jobs.all(project, { pipelineId: parent.id, includeRetried: true, perPage: 2 })).map(({ id }) => id),
    every: (await api.Jobs.all(project, { pagination: 'keyset', orderBy: 'id', sort: 'desc', perPage: 2 })).map(({ id }) => id),
    branch: (await api.Branches.show(project, 'main')).name,
    projects: (await api.Projects.all({ membership: true, archived: false })).map(({ id }) => id),
    log: (await api.Jobs.showLog(project, manual[0].id)).length,
    played: { id: played.id, status: played.status },
    gone,
  }),
);
