// Drives the main job like a web frontend does: Apollo Client 4 with apollo-upload-client and graphql-ws.
// Usage: node apollo.mjs <server address> <photo> [<photo> ...]
// Prints one JSON line with what it saw; exit code 1 and the error on stderr when something failed.
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { ApolloClient, ApolloLink, InMemoryCache, gql } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import UploadHttpLink from "apollo-upload-client/UploadHttpLink.mjs";
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const [server, ...files] = process.argv.slice(2);

const UPLOAD = gql`
  mutation Upload($input: UploadPhotosInput!) {
    uploadPhotos(input: $input) {
      photos { id url width height sha256 }
      userErrors { code message path }
    }
  }
`;
const START = gql`
  mutation Start($input: StartTrainingInput!) {
    startTraining(input: $input) {
      training { id status progress model { id name } }
      userErrors { code message path }
    }
  }
`;
const TRAININGS = gql`
  query Trainings {
    trainings(first: 10) { nodes { id status progress model { id name status } } totalCount }
  }
`;
const TRAINING_PROGRESS = gql`
  subscription TrainingProgress($id: ID!) {
    trainingProgress(trainingId: $id, afterSeq: 0) {
      seq status stage percent message
      training { id status progress model { id status } }
    }
  }
`;
const GENERATE = gql`
  mutation Generate($input: GenerateImageInput!) {
    generateImage(input: $input) {
      generations { id status imageUrl }
      userErrors { code message path }
    }
  }
`;
const GENERATION = gql`
  query Generation($id: ID!) {
    generation(id: $id) { id status imageUrl }
  }
`;
const GENERATION_PROGRESS = gql`
  subscription GenerationProgress($id: ID!) {
    generationProgress(generationId: $id, afterSeq: 0) {
      seq status message
      generation { id status imageUrl }
    }
  }
`;

let requests = 0; // over HTTP: what the cache answers is not among them
const counting = new ApolloLink((operation, forward) => {
  requests += 1;
  return forward(operation);
});
const upload = new UploadHttpLink({ uri: `${server}/graphql`, headers: { "apollo-require-preflight": "true" } });
const socket = createClient({ url: `${server.replace(/^http/, "ws")}/graphql`, webSocketImpl: WebSocket });
const client = new ApolloClient({
  cache: new InMemoryCache(),
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    ApolloLink.from([counting, upload]),
  ),
});

function expect(condition, message) {
  if (!condition) throw new Error(message);
}

function mutate(mutation, input, field) {
  return client.mutate({ mutation, variables: { input } }).then(({ data }) => {
    expect(data[field].userErrors.length === 0, `${field}: ${JSON.stringify(data[field].userErrors)}`);
    return data[field];
  });
}

function follow(query, id, field) {
  const events = [];
  return new Promise((resolve, reject) => {
    client.subscribe({ query, variables: { id } }).subscribe({
      next: ({ data, error }) => (error ? reject(error) : events.push(data[field])),
      error: reject,
      complete: () => resolve(events),
    });
  });
}

function cachedTraining(id) {
  const { trainings } = client.readQuery({ query: TRAININGS });
  return trainings.nodes.find((node) => node.id === id);
}

async function photo(path) {
  return new File([await readFile(path)], basename(path), { type: "image/jpeg" });
}

async function main() {
  const uploaded = await mutate(UPLOAD, { photos: await Promise.all(files.map(photo)) }, "uploadPhotos");
  const photoIds = uploaded.photos.map(({ id }) => id);

  const { training } = await mutate(START, { modelName: "Apollo Portrait", photoIds }, "startTraining");
  await client.query({ query: TRAININGS });
  const statusBefore = cachedTraining(training.id).status;
  const trainingEvents = await follow(TRAINING_PROGRESS, training.id, "trainingProgress");

  const requestsBefore = requests;
  const { data } = await client.query({ query: TRAININGS, fetchPolicy: "cache-first" });
  const cached = data.trainings.nodes.find((node) => node.id === training.id);
  const refetches = requests - requestsBefore;

  const input = { modelId: training.model.id, prompt: "portrait in a sunlit garden" };
  const [generation] = (await mutate(GENERATE, input, "generateImage")).generations;
  await client.query({ query: GENERATION, variables: { id: generation.id } });
  const generationEvents = await follow(GENERATION_PROGRESS, generation.id, "generationProgress");
  const finished = client.readQuery({ query: GENERATION, variables: { id: generation.id } }).generation;
  const picture = await fetch(finished.imageUrl);

  return {
    photos: uploaded.photos.length,
    statusBefore,
    trainingSeqs: trainingEvents.map(({ seq }) => seq),
    lastTraining: trainingEvents.at(-1).status,
    cachedStatus: cached.status,
    cachedProgress: cached.progress,
    cachedModelStatus: cached.model.status,
    refetches,
    generationSeqs: generationEvents.map(({ seq }) => seq),
    cachedGeneration: finished.status,
    pictureStatus: picture.status,
    pictureType: picture.headers.get("content-type"),
    pictureBytes: (await picture.arrayBuffer()).byteLength,
  };
}

try {
  console.log(JSON.stringify(await main()));
} catch (error) {
  console.error(error);
  process.exitCode = 1;
} finally {
  await socket.dispose();
  client.stop();
}
