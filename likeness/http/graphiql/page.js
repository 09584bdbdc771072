// GraphiQL for the server that serves this page: its own address answers queries, subscriptions and uploads.
import { filesPlugin, withFiles } from "./files.js";

const EXAMPLES = `# Welcome to likeness.
#
# Ctrl-Enter  run the operation at the cursor
# Ctrl-Space  complete what you type
# Headers     below; to sign in:
#             {"authorization": "Bearer <JWT>"}
#             then fetch the schema again (left)
# Files       on the left; to upload photos
# Docs        on the left; the whole schema

query Health {
  health {
    ok
    simulated
    version
  }
}

query Quota {
  quota {
    dailyLimit
    remaining
    currentBalance
  }
}

# The events of a training so far, then live ones.
# Variables, below: {"id": "<training id>"}
subscription FollowTraining($id: ID!) {
  trainingProgress(trainingId: $id, afterSeq: 0) {
    seq
    status
    stage
    percent
    etaSeconds
    message
  }
}
`;

const address = location.origin + location.pathname;

// The headers go along in connection_init, where this server looks for the sign-in of a websocket; a refusal is final.
function fetcher(params, options) {
  const wsClient = graphqlWs.createClient({
    url: address.replace(/^http/, "ws"),
    connectionParams: options?.headers,
    shouldRetry: (closed) => closed.code !== 4403,
  });
  return GraphiQL.createFetcher({ url: address, wsClient, enableIncrementalDelivery: false })(params, options);
}

const page = React.createElement(GraphiQL, {
  fetcher: withFiles(fetcher, address),
  plugins: [GraphiQLPluginExplorer.explorerPlugin(), filesPlugin],
  defaultQuery: EXAMPLES,
  defaultEditorToolsVisibility: true,
  inputValueDeprecation: true,
});
ReactDOM.createRoot(document.getElementById("graphiql")).render(page);
